"""The answer of a network to a whole sequence."""

from torch import Tensor


def decide(potentials: Tensor, answer_steps: int = 0) -> Tensor:
    """The last readout's largest potential, summed over time.

    Args:
        answer_steps: takes the last steps alone, as where a question comes at the end; 0 all.

    Shape:
        potentials ``[T, R, B, classes]`` to labels ``[B]``.
    """
    return potentials[-answer_steps:, -1].sum(0).argmax(-1)
