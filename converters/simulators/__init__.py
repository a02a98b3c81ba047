"""Simulators of a graph: in floating point, in integers, event by event."""
