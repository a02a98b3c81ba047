"""Lava processes: how Lava is installed, built from our integers, run and compared."""
