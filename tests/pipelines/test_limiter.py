"""One rate limit for all threads."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from itertools import pairwise

import pytest

from pipelines.rivo.limiter import RateLimiter


def acquire_in_threads(limiter: RateLimiter, each: int, threads: int = 4) -> list[float]:
    """The times at which requests were let through, in order."""
    times: list[float] = []

    def work() -> None:
        for _ in range(each):
            limiter.acquire()
            times.append(time.monotonic())

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sorted(times)


def most_in_a_second(times: list[float]) -> int:
    return max(bisect_left(times, moment + 1) - place for place, moment in enumerate(times))


@pytest.mark.parametrize(("rate", "each", "most"), [(20, 8, 20), (2.9, 1, 2)])
def test_no_second_sees_more_than_the_rate(rate: float, each: int, most: int) -> None:
    times = acquire_in_threads(RateLimiter(rate), each)
    assert len(times) == each * 4
    assert most_in_a_second(times) <= most


def test_requests_go_evenly_and_not_slower_than_needed() -> None:
    times = acquire_in_threads(RateLimiter(30), 15)
    assert times[-1] - times[0] < 2.5
    # Without that, a late first half of a burst would meet the next burst within one second.
    assert min(later - earlier for earlier, later in pairwise(times)) > 0.7 / 30


def test_a_rate_below_one_a_second_is_kept() -> None:
    limiter = RateLimiter(0.8)
    limiter.acquire()
    started = time.monotonic()
    limiter.acquire()
    assert 1.2 < time.monotonic() - started < 1.5


def test_a_pause_holds_everyone_and_is_not_shortened_by_a_shorter_one() -> None:
    limiter = RateLimiter(1000)
    limiter.acquire()
    started = time.monotonic()
    limiter.pause(0.5)
    limiter.pause(0.1)
    times = acquire_in_threads(limiter, 2)
    assert times[0] - started >= 0.5
    assert times[-1] - started < 0.8
