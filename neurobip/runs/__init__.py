"""Runs: data, training, checkpoints, metrics, controls and reports, in Python."""
