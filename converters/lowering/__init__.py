"""Lowering: from a network to its graph, one rule a component."""
