"""One rate limit for all threads.

What must not happen too early is tried with threads on the real clock; what must not take too long, on a clock that
moves only when somebody sleeps: a busy machine is no reason to fail.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from itertools import pairwise

import pytest

import pipelines.rivo.limiter as limiter_module
from pipelines.rivo.limiter import RateLimiter


class StillClock:
    """A fake of the module `time`: time passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StillClock:
    clock = StillClock()
    monkeypatch.setattr(limiter_module, "time", clock)
    return clock


def acquire_in_threads(limiter: RateLimiter, each: int, threads: int = 4) -> list[float]:
    """Return the times at which requests were let through, in order."""
    times: list[float] = []

    def work() -> None:
        times.extend(limiter.acquire() for _ in range(each))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sorted(times)


def most_in_a_second(times: list[float]) -> int:
    return max(bisect_left(times, moment + 1) - place for place, moment in enumerate(times))


@pytest.mark.parametrize(("rate", "each", "most"), [(20, 8, 20), (2.9, 1, 2)])
def test_limiter_exceeds_the_rate_in_no_second(rate: float, each: int, most: int) -> None:
    times = acquire_in_threads(RateLimiter(rate), each)
    assert len(times) == each * 4
    assert most_in_a_second(times) <= most


def test_limiter_spaces_requests_evenly() -> None:
    times = acquire_in_threads(RateLimiter(30), 10)
    # Without that, a late first half of a burst would meet the next burst within one second.
    assert min(later - earlier for earlier, later in pairwise(times)) > 0.9 / 30


def test_limiter_is_not_slower_than_needed(clock: StillClock) -> None:
    limiter = RateLimiter(30)
    times = [limiter.acquire() for _ in range(61)]
    assert times[-1] - times[0] == pytest.approx(2, rel=0.03)
    assert most_in_a_second(times) == 30


def test_limiter_keeps_rate_below_one_a_second(clock: StillClock) -> None:
    limiter = RateLimiter(0.8)
    assert -limiter.acquire() + limiter.acquire() == pytest.approx(1.25, rel=0.03)


def test_pause_is_not_shortened_by_a_shorter_one(clock: StillClock) -> None:
    limiter = RateLimiter(1000)
    started = limiter.acquire()
    limiter.pause(0.5)
    limiter.pause(0.1)
    assert limiter.acquire() == pytest.approx(started + 0.5)


def test_pause_holds_every_thread() -> None:
    limiter = RateLimiter(1000)
    started = limiter.acquire()
    limiter.pause(0.5)
    assert acquire_in_threads(limiter, 2)[0] >= started + 0.5
