"""Results in files: a run that is done with these settings is not done again."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neurobip.atomic import write_atomic


def kept(
    folder: Path, name: str, settings: Any, run: Callable[[], dict[str, Any]] | None
) -> dict[str, Any] | None:
    """What a run found: from its file, or by running it now.

    Args:
        settings: all that the result depends on and the name does not say, as plain values; with
            others the run is done anew, and the file of the earlier one stays.
        run: None where nothing is to be run; what there is not is None then.
    """
    text = json.dumps(settings, sort_keys=True, default=str)
    file = folder / f"{name.replace(' ', '_')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
    if file.exists():
        return json.loads(file.read_text(encoding="utf-8"))
    if run is None:
        return None
    found = run()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, json.dumps(found))
    shown = {key: value for key, value in found.items() if isinstance(value, int | float)}
    print(f"{name}: {shown}", flush=True)
    return found
