"""Compile every Triton kernel as it is launched, without a GPU, for GPUs of several years.

The interpreter takes what the compiler refuses, such as a variable that changes its type in a loop.
So the package's functions are called here on small tensors, and each launch ends when the machine
code is there. A line for each: kernel, compute capability, fused multiply-adds, bytes of shared
memory.
"""

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

from neurobip.kernels import cuda

GPUS = {75: (torch.float32, 64), 90: (torch.bfloat16, 20)}
"""What is compiled for which compute capability: the widest heads for the least of memory."""

launch = JITFunction.run


class Machine:
    """A machine with one GPU, as far as the compiler asks."""

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_device(self) -> int:
        return self.capability

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)


def compile_only(self, *arguments, warmup, **options):
    kernel = launch(self, *arguments, warmup=True, **options)
    capability = triton.runtime.driver.active.capability
    fused = kernel.asm["ptx"].count("fma.rn")
    print(self.fn.__name__, capability, fused, kernel.metadata.shared)


def call_all(kind: torch.dtype, width: int) -> None:
    """Call everything that launches a kernel; ``width`` is that of a head of attention."""
    x, state, bias = torch.zeros(3, 2, 5, dtype=kind), torch.zeros(2, 5), torch.zeros(5)
    for keep_u in (0.0, 0.5):
        cuda.lif_run(x, state, state, bias, 1.0, keep_u, 0.9)
        _, v, z = cuda.lif_scan(x, state, state, bias, 1.0, keep_u, 0.9)
        cuda.lif_back(z, v, state, state, 1.0, keep_u, 0.9, 1.0)
    traces = cuda.trace_scan(x, state, 0.9)
    cuda.trace_last(x, state, 0.9)
    cuda.trace_back(traces, 0.9)
    cuda.surrogate_gradient(x, v, 1.0, 1.0)
    image, keep = torch.zeros(3, 2, 4, 5, 5, dtype=kind), torch.zeros(4, 1, 1)
    before = torch.zeros(2, 4, 5, 5)
    v, a, z = cuda.alif_scan(image, before, before, 1.0, keep, 0.9, 0.1)
    cuda.alif_back(z, v, a, before, before, before, 1.0, keep, 0.9, 0.1, 1.0)
    cuda.bipolar_scan(image[:, :, :2], torch.zeros(4, 2, 5, 5), 0.1, 0.2, 0.3, 0.4)
    qkv = torch.zeros(2, 2, 7, 3, 2, width, dtype=kind)
    memories, answers = cuda.memory_scan(qkv, torch.zeros(2, 2, width, width), 0.9)
    cuda.memory_credit(qkv, qkv, memories, answers)


if __name__ == "__main__":
    JITFunction.run = compile_only
    for capability, (kind, width) in GPUS.items():
        triton.runtime.driver.set_active(Machine(capability))
        call_all(kind, width)
