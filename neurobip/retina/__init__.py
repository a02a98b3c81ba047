"""The retina front end for event input."""
