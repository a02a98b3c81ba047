"""Pipeline of functions over a stream of items, on one or several threads."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event, Semaphore
from typing import Any

import torch

Work = Callable[[Any], Any]


def pipeline(items: Iterable[Any], stages: Sequence[Work], threads: int = 1) -> None:
    """Send every item through all stages, in order.

    With several threads the stages are shared out among them in row: while one works on an item,
    those before it are at the next ones. Each stage sees the items in the same order, so what
    comes out does not depend on the number of threads. At most one item waits between two threads.

    Raises:
        Exception: what a stage or the items raise; no more items are taken then.
    """
    threads = min(threads, len(stages))
    if threads <= 1:
        for item in items:
            _through(stages, item)
        return
    # Where they do not divide, the first threads take one more: the first stage is the lightest.
    borders = [-(-len(stages) * i // threads) for i in range(threads + 1)]
    shares = [stages[low:high] for low, high in zip(borders, borders[1:], strict=False)]
    queues = [ItemQueue() for _ in shares]
    inner, grad, failed = torch.get_num_threads(), torch.is_grad_enabled(), Event()
    inner = max(1, inner // threads)  # those of torch are shared out too

    def work(share: Sequence[Work], inbox: ItemQueue, outbox: ItemQueue | None) -> None:
        # Both are settings of a thread in torch.
        torch.set_num_threads(inner)
        torch.set_grad_enabled(grad)
        try:
            for item in inbox:
                item = _through(share, item)
                if outbox is not None:
                    outbox.put(item)
        except BaseException:
            failed.set()
            for _ in inbox:
                pass  # the producer must not wait for a free place
            raise
        finally:
            if outbox is not None:
                outbox.end()

    with ThreadPoolExecutor(threads) as pool:
        workers = [
            pool.submit(work, share, inbox, outbox)
            for share, inbox, outbox in zip(shares, queues, [*queues[1:], None], strict=True)
        ]
        try:
            for item in items:
                if failed.is_set():
                    break
                queues[0].put(item)
        finally:
            queues[0].end()
    for worker in workers:
        worker.result()


class ItemQueue:
    """Queue of one item between two threads, whose end marker never waits.

    A second keyboard interrupt can thus not come between the first one and the end marker.
    """

    def __init__(self) -> None:
        self._items: SimpleQueue[Any] = SimpleQueue()
        self._free = Semaphore(1)

    def put(self, item: Any) -> None:
        """Add an item, once there is a free place."""
        self._free.acquire()
        self._items.put(item)

    def end(self) -> None:
        """Mark the end of the items."""
        self._items.put(END)

    def __iter__(self) -> Iterator[Any]:
        """The items up to the end."""
        while (item := self._items.get()) is not END:
            self._free.release()
            yield item


END = object()


def _through(stages: Iterable[Work], item: Any) -> Any:
    for stage in stages:
        item = stage(item)
    return item
