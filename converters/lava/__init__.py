"""Lava: installation, processes of a graph, runs, and comparison with the integer simulator."""
