"""The hot loops: :mod:`reference` in torch for any device, :mod:`cpu` compiled with numba."""
