"""The pipeline: every item through every station in order, on any number of threads."""

import threading
import time

import pytest
import torch

from neurobip.learning.pipeline import ItemQueue, pipeline


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_each_station_sees_all_items_in_order(threads):
    seen = {i: [] for i in range(4)}

    def station(i):
        def work(item):
            seen[i].append(item)
            return item + 10**i

        return work

    pipeline(range(9), [station(i) for i in range(4)], threads)
    assert seen == {i: [item + (10**i - 1) // 9 for item in range(9)] for i in range(4)}


def test_stations_are_at_work_at_the_same_time():
    """The first station's second item meets the second station's first: else both would wait."""
    meeting = threading.Barrier(2, timeout=20)
    pipeline(
        range(2),
        [lambda i: meeting.wait() * 0 + i if i else i, lambda i: i or meeting.wait()],
        2,
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("guilty", [0, 1, 2])
def test_an_error_ends_it(threads, guilty):
    def station(i):
        def work(item):
            if i == guilty and item == 3:
                raise ZeroDivisionError(f"station {i}")
            return item

        return work

    with pytest.raises(ZeroDivisionError, match=f"station {guilty}"):
        pipeline(range(50), [station(i) for i in range(3)], threads)


def test_after_an_error_no_more_items_are_taken():
    taken = []

    def fail(item):
        raise ZeroDivisionError

    def items():
        for i in range(1000):
            taken.append(i)
            yield i

    with pytest.raises(ZeroDivisionError):
        pipeline(items(), [lambda i: i, fail], 2)
    assert len(taken) < 20


def test_an_error_of_the_items_comes_out_after_those_before_it():
    def items():
        yield from range(4)
        raise KeyboardInterrupt

    seen = []
    with pytest.raises(KeyboardInterrupt):
        pipeline(items(), [lambda i: i, seen.append], 2)
    assert seen == [0, 1, 2, 3]


def test_the_end_does_not_wait_for_room():
    queue = ItemQueue()
    queue.put(1)
    queue.end()
    assert list(queue) == [1]


def test_items_do_not_pile_up():
    """A slow last station holds the first one back: at most one item waits, one is at work."""
    begun, ended, most = [], [], []

    def first(item):
        begun.append(item)
        most.append(len(begun) - len(ended))
        return item

    def last(item):
        time.sleep(0.002)
        ended.append(item)

    pipeline(range(30), [first, last], 2)
    assert len(ended) == 30 and max(most) <= 4


def test_settings_of_torch_go_along():
    found = []
    with torch.no_grad():
        pipeline([0], [lambda i: i, lambda i: found.append(torch.is_grad_enabled())], 2)
    pipeline([0], [lambda i: i, lambda i: found.append(torch.is_grad_enabled())], 2)
    assert found == [False, True]
