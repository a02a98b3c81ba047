"""The lost wake-up of Lava's channels is mended."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip("lava.magma", exc_type=ImportError)

import neurobip.converters.lava.compat  # noqa: E402, F401

# isort: split
from lava.magma.compiler.channels.pypychannel import (  # noqa: E402
    CspRecvPort,
    CspSelector,
    PyPyChannel,
)
from lava.magma.runtime.message_infrastructure.multiprocessing import (  # noqa: E402
    MultiProcessing,
)


def test_a_reader_hears_of_a_message_behind_the_one_that_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    infrastructure = MultiProcessing()
    infrastructure.start()
    try:
        channel = PyPyChannel(infrastructure, "a", "b", (1,), np.int32, 4)
        sender, reader = channel.src_port, channel.dst_port
        sender.start()
        reader.start()
        sender.send(np.array([1]))
        while not reader.probe():
            time.sleep(0.001)
        look = CspRecvPort.probe

        def slow_look(port: CspRecvPort) -> bool:
            """A look at the queue that is out of date when it is acted upon."""
            found = look(port)
            if threading.current_thread() is reader.thread:
                time.sleep(0.3)
            return found

        monkeypatch.setattr(CspRecvPort, "probe", slow_look)
        sender.send(np.array([2]))
        time.sleep(0.1)
        assert reader.recv() == 1
        heard: list[int] = []
        selector = CspSelector()
        waiting = threading.Thread(
            target=selector.select, args=((reader, lambda: heard.append(int(reader.recv()[0]))),),
            daemon=True,
        )  # fmt: skip
        waiting.start()
        waiting.join(5)
        assert heard == [2]
    finally:
        infrastructure.stop()
