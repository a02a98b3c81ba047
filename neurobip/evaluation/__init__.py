"""What a trained network is worth: accuracy, and the controls beside it."""

from neurobip.models.accuracy import Accuracy, accuracy

__all__ = ["Accuracy", "accuracy"]
