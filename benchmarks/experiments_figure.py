"""The picture of what attention and its credit are worth, from ``docs/results/experiments.csv``.

    python benchmarks/experiments_figure.py        writes docs/experiments.png

One dot a seed, a bar at the mean; the dashed line is chance.
"""

import argparse
from pathlib import Path
from statistics import mean

from experiments import HERE, known

from neurobip.viz.figure import BLUE, GREEN, INK, MUTED, ORANGE, WIDTH, new_figure, style_axes

TASKS = {
    "same_or_different": "same or different\ntwo digits side by side",
    "delayed_match": "delayed match\ndigit, 480 ms, digit",
    "recall": "recall of the first\ndigit, 480 ms, digit",
}
CONDITIONS = {
    "local": ("local", BLUE),
    "two blocks": ("local, two blocks", BLUE),
    "local, slow traces": ("local, traces as slow as the memory", GREEN),
    "local, traces of a step": ("local, traces of a step", GREEN),
    "through time, rate 0.004": ("backpropagation through time", ORANGE),
    "frozen q and k": ("local, q and k frozen", MUTED),
    "no attention": ("local, no attention", MUTED),
}


def main() -> None:
    """Draw the rows that there are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/experiments"))
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "experiments.png")
    arguments = parser.parse_args()
    rows = known(arguments.runs)
    figure = new_figure(1.6 * WIDTH, 3.0)
    panels = figure.subplots(1, len(TASKS), sharex=True, sharey=True)
    for axes, (task, title) in zip(panels, TASKS.items(), strict=True):
        mine = [row for row in rows if row["experiment"] == task]
        for y, (condition, (_, color)) in enumerate(CONDITIONS.items()):
            values = [100 * float(r["accuracy"]) for r in mine if r["condition"] == condition]
            if values:
                axes.barh(y, mean(values), 0.62, color=color, alpha=0.35)
                axes.plot(values, [y] * len(values), "o", ms=3, color=color)
            else:
                axes.text(2, y, "not run", va="center", fontsize=7.5, color=MUTED)
        if mine:
            axes.axvline(100 * float(mine[0]["chance"]), color=INK, lw=1, ls="--")
        axes.set_title(title, fontsize=9.5, loc="left", color=INK)
        style_axes(axes, grid="x")
    panels[0].set_yticks(range(len(CONDITIONS)), [name for name, _ in CONDITIONS.values()])
    panels[0].invert_yaxis()
    panels[0].set_xlim(0, 100)
    figure.supxlabel("test accuracy, %", fontsize=9.5, color=INK)
    figure.savefig(arguments.out, dpi=150)
    print(arguments.out)


if __name__ == "__main__":
    main()
