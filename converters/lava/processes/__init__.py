"""Lava processes for what Lava has none of: one idea a file, the process and its fixed-point model.

Nothing but processes belongs into this folder: Lava's compiler imports every module next to a
process when it looks for models.
"""
