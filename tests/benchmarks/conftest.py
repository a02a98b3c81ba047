"""The scripts in ``benchmarks/`` import one another by name, as they do when they are run."""

import sys
from pathlib import Path

FOLDER = str(Path(__file__).parents[2] / "benchmarks")

# At the end: nothing installed is hidden by a script of the same name.
if FOLDER not in sys.path:
    sys.path.append(FOLDER)
