"""Conversion of a trained network to a graph, to integers and to Lava processes."""

if __name__ != "neurobip.converters":
    raise ImportError(
        f"the folder converters/ of neurobip was imported as {__name__!r}; "
        "write 'import neurobip.converters' and install the package (pip install -e .)"
    )
