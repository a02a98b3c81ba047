"""Accuracy and the controls that stand beside it."""
