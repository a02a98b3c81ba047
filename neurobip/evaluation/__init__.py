"""Evaluation of a trained network: accuracy, controls, robustness."""

from neurobip.models.accuracy import Accuracy, accuracy

__all__ = ["Accuracy", "accuracy"]
