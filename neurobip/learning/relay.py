"""Items through a row of stations, several stations at work at the same time."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import Any

import torch

Station = Callable[[Any], Any]


def relay(items: Iterable[Any], stations: Sequence[Station], threads: int = 1) -> None:
    """Send every item through all stations, in order.

    With several threads the stations are shared out among them in row: while one works on an item,
    those before it are at the next ones. Each station sees the items in the same order, so what
    comes out does not depend on the number of threads. At most one item waits between two threads.

    Raises:
        Exception: what a station raises; nothing waits for it then.
    """
    threads = min(threads, len(stations))
    if threads <= 1:
        for item in items:
            _through(stations, item)
        return
    borders = [len(stations) * i // threads for i in range(threads + 1)]
    shares = [stations[low:high] for low, high in zip(borders, borders[1:], strict=False)]
    queues: list[Queue[Any]] = [Queue(1) for _ in shares]
    inner, grad = torch.get_num_threads(), torch.is_grad_enabled()

    def work(share: Sequence[Station], inbox: Queue[Any], outbox: Queue[Any] | None) -> None:
        # Both are settings of a thread in torch.
        torch.set_num_threads(inner)
        torch.set_grad_enabled(grad)
        failure = None
        while (item := inbox.get()) is not END:
            if failure is None:
                try:
                    item = _through(share, item)
                    if outbox is not None:
                        outbox.put(item)
                except BaseException as error:
                    failure = error
        if outbox is not None:
            outbox.put(END)
        if failure is not None:
            raise failure

    with ThreadPoolExecutor(threads) as pool:
        workers = [
            pool.submit(work, share, inbox, outbox)
            for share, inbox, outbox in zip(shares, queues, [*queues[1:], None], strict=True)
        ]
        try:
            for item in items:
                queues[0].put(item)
        finally:
            queues[0].put(END)
    for worker in workers:
        worker.result()


END = object()
"""No more items will come."""


def _through(stations: Iterable[Station], item: Any) -> Any:
    for station in stations:
        item = station(item)
    return item
