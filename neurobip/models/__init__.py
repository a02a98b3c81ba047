"""Whole networks built from projections."""
