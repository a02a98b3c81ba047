"""The controls of a run, trained with the same budget, on other cores while there are any."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from neurobip.atomic import write_atomic
from neurobip.config import RunConfig
from neurobip.errors import NeurobipError
from neurobip.evaluation.ann_twin import has_twin
from neurobip.evaluation.controls import ANN_TWIN, Control, variants
from neurobip.runs.ann_twin import train_ann_twin
from neurobip.runs.data import Data, open_data
from neurobip.runs.metrics import add_control, add_logistic
from neurobip.runs.output import Output
from neurobip.runs.training import CPU, train_run


class Controls:
    """The controls of a run: networks that lack one thing, one without spikes, and a line.

    Those without spikes and without attention are of networks that have such a control. The
    networks are trained as runs in ``folder/controls/<name>``, each with the run's budget.

    Entering the context starts one helper for every core to spare; a helper trains one control
    after the other with the command line in a process of its own. :meth:`finish` trains in this
    process what no helper has begun, and waits. Leaving the context ends helpers that still work.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        out: Output,
        mode: str = "",
        device: torch.device = CPU,
        imports: Sequence[str] = (),
    ) -> None:
        """``mode`` is "resume", "overwrite" or empty, as for the run itself.

        Args:
            imports: what a helper has to import, as ``--import``.
        """
        self.device, self.imports = device, imports
        self.config, self.configs = config, variants(config)
        self.folder, self.out, self.mode = folder / "controls", out, mode
        self.waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.results: dict[str, Control] = {}
        self.failures: list[Exception] = []
        self.threads: list[threading.Thread] = []
        self.processes: list[subprocess.Popen[str]] = []
        self.starting, self.closing = threading.Lock(), False

    def __enter__(self) -> Controls:
        for name in self.configs:
            self.waiting.put(name)
        for _ in range(min(len(self.configs), cores() - 1)):
            thread = threading.Thread(target=self._help, daemon=True)
            thread.start()
            self.threads.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        while self._next() is not None:
            pass
        with self.starting:  # no helper can be between the queue and its process now
            self.closing = True
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for thread in self.threads:
            thread.join()

    def finish(self, metrics: dict[str, Any], data: Data) -> None:
        """Put every control into the metrics of the run.

        The logistic regression and the network without spikes come first: they are trained here,
        while helpers are at work on the others.

        Raises:
            NeurobipError: a helper failed; the message is the one that it ended with.
        """
        add_logistic(metrics, data, self.out)
        again = {"resume": self.mode == "resume", "overwrite": self.mode == "overwrite"}
        if has_twin(self.config) and ANN_TWIN not in metrics["controls"]:
            metrics["controls"][ANN_TWIN] = train_ann_twin(
                self.config, self.folder / ANN_TWIN, data, self.out, device=self.device, **again
            )
        while not self.failures and (name := self._next()) is not None:
            config = self.configs[name]
            done = train_run(
                config,
                self.folder / name,
                # The features of an encoder are of the run's data, not of these.
                data if config.data == self.config.data else open_data(config, self.out),
                self.out,
                title=f"control {name}",
                device=self.device,
                **again,
            )
            self.results[name] = Control(done["accuracy"], done["samples"])
        for thread in self.threads:
            thread.join()
        if self.failures:
            raise self.failures[0]
        for name in self.configs:
            add_control(metrics, name, self.results[name])

    def _next(self) -> str | None:
        try:
            return self.waiting.get_nowait()
        except queue.Empty:
            return None

    def _help(self) -> None:
        while not self.failures and (name := self._next()) is not None:
            try:
                self.results[name] = self._train_apart(name)
            except Exception as error:  # raised by finish, in the thread that waits
                self.failures.append(error)

    def _train_apart(self, name: str) -> Control:
        folder = self.folder / name
        source = self.folder / f"{name}.yaml"
        write_atomic(source, self.configs[name].to_yaml())
        command = [sys.executable, "-m", "neurobip.cli", "train", str(source), "--json"]
        command += ["--out", str(folder), "--device", str(self.device)]
        command += [f"--{self.mode}"] if self.mode else []
        command += [f"--import={name}" for name in self.imports]
        with self.starting:
            if self.closing:
                raise NeurobipError(f"control {name}: ended early")
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env={**os.environ, "PYTHONFAULTHANDLER": "1"},
            )
            self.processes.append(process)
        answer: list[str] = []
        assert process.stdout is not None and process.stderr is not None
        reader = threading.Thread(target=lambda out=process.stdout: answer.append(out.read()))
        reader.start()
        line = ""
        for line in process.stderr:
            self.out.say(line.rstrip().replace("training:", f"control {name}:"))
        reader.join()
        code = process.wait()
        if code == 2:
            raise NeurobipError(f"control {name}: {line.strip()}")
        if code != 0:
            raise NeurobipError(
                f"control {name}: its process ended with code {code} (below 0: by that signal); "
                f"last words: {line.strip() or 'none'}; try it alone: {' '.join(command)}"
            )
        metrics = json.loads(answer[0])
        return Control(metrics["accuracy"], metrics["samples"])


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
