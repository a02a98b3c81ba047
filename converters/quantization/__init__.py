"""Quantization: from floating point to the integers of a chip."""
