"""Event recordings as torch datasets: readers, splits, cache and loader."""

if __name__ != "neurobip.datasets":
    raise ImportError(
        f"the folder datasets/ of neurobip was imported as {__name__!r}; "
        "write 'import neurobip.datasets' and install the package (pip install -e .)"
    )
