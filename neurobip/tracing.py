"""Tracing: whether torch runs a program on stand-ins for tensors instead of on numbers."""

import torch


def tracing() -> bool:
    """Whether ``torch.compile`` or a transform of ``torch.func`` is at work.

    Compiled loops and checks of values need numbers; under a transform the kernels in torch are
    used, and values are not checked: NaN or negative counts pass. There are no forward-mode
    derivatives (``jvp``), as torch.compile cannot trace a function that defines them.
    """
    if torch.compiler.is_compiling():
        return True
    return torch._C._functorch.maybe_current_level() is not None
