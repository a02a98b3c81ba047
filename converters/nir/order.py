"""Order of populations: where the loops of a NIR graph are closed."""

from __future__ import annotations

from neurobip.converters.nir.flat import Flat, reached


def order(flat: Flat, sources: dict[str, list[str]], known: list[str]) -> list[str]:
    """Populations in an order in which each comes after its sources, except in loops.

    In a loop the population comes first that is the nearest to the input, counted in nodes; where
    two are alike, the one that the earlier edge leads to. The order of a file's nodes is of no
    account, since HDF5 sorts them by name.

    Args:
        sources: by population, its sources.
        known: the order that the graph itself declares, if it does.
    """
    if set(sources) <= set(known):
        return [name for name in known if name in sources]
    near = [name for name in reached([flat.input], flat.edges) if name in sources]
    left = dict.fromkeys(near)
    names: list[str] = []
    while left:
        waits = {name: [s for s in sources[name] if s in left] for name in left}
        free = [name for name in left if not waits[name]]
        chosen = free[0] if free else opening(waits)
        names.append(chosen)
        del left[chosen]
    return names


def opening(waits: dict[str, list[str]]) -> str:
    """The first of some populations that waits for nothing but loops through itself."""
    edges = [(name, source) for name, found in waits.items() for source in found]
    ahead = {name: reached([name], edges) for name in waits}
    return next(name for name in waits if all(name in ahead[other] for other in ahead[name]))
