"""Learning in Lava: three-factor rules where the network runs."""
