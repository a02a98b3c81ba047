"""How much of its accuracy a network keeps when its input is corrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from torch import Tensor

from neurobip.models.accuracy import accuracy
from neurobip.models.network import Network

Batches = Iterable[tuple[Tensor, Tensor]]


class Robustness(NamedTuple):
    """Accuracy on clean samples and on the same samples under every corruption and severity.

    Attributes:
        clean: share of right answers on the samples as recorded.
        samples: how many there are.
        accuracies: share of right answers by corruption, then by severity.

    Source:
        mean and relative accuracy as in Hendrycks, Dietterich 2019 (ImageNet-C), but of accuracies
        rather than of errors weighed by those of a reference network, so that a number needs no
        reference.
    """

    clean: float
    samples: int
    accuracies: Mapping[str, Mapping[int, float]]

    @property
    def by_corruption(self) -> dict[str, float]:
        """Mean accuracy over severities, by corruption."""
        return {name: fmean(cells.values()) for name, cells in self.accuracies.items()}

    @property
    def by_severity(self) -> dict[int, float]:
        """Mean accuracy over corruptions, by severity."""
        first = next(iter(self.accuracies.values()))
        return {
            severity: fmean(cells[severity] for cells in self.accuracies.values())
            for severity in first
        }

    @property
    def mean_corruption_accuracy(self) -> float:
        """Mean accuracy over all corruptions and severities, each cell counted once."""
        return fmean(value for cells in self.accuracies.values() for value in cells.values())

    @property
    def relative(self) -> float:
        """Mean corruption accuracy as a share of the clean accuracy; 0 where that is 0."""
        return self.mean_corruption_accuracy / self.clean if self.clean else 0.0


def robustness(
    model: Network,
    clean: Batches,
    corrupted: Callable[[str, int], Batches],
    corruptions: Sequence[str],
    severities: Sequence[int],
    on_cell: Callable[[int, int], None] | None = None,
) -> Robustness:
    """The accuracies of a network on clean samples and under corruptions.

    Args:
        clean: batches of the samples as recorded.
        corrupted: gives the batches of the same samples under a corruption at a severity.
        on_cell: called with the cells that are done and with their number.

    Shape:
        batches are ``(frames [T, B, 2, H, W], labels [B])``.

    Raises:
        ValueError: no sample, no corruption or no severity, or one that comes twice.
    """
    for words, chosen in (("corruptions", corruptions), ("severities", severities)):
        if not chosen or len(set(chosen)) < len(chosen):
            raise ValueError(f"robustness: {words} {list(chosen)}; one or more fit, each once")
    whole = accuracy(model, clean)
    total = len(corruptions) * len(severities)
    cells: dict[str, dict[int, float]] = {}
    done = 0
    for name in corruptions:
        cells[name] = {}
        for severity in severities:
            found = accuracy(model, corrupted(name, severity))
            if found.samples != whole.samples:
                raise ValueError(
                    f"robustness: {found.samples} samples under {name} {severity} and "
                    f"{whole.samples} clean ones; the same samples are to be compared"
                )
            cells[name][severity] = found.accuracy
            done += 1
            if on_cell is not None:
                on_cell(done, total)
    return Robustness(whole.accuracy, whole.samples, cells)
