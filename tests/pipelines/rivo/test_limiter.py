"""Rate limit shared by all threads.

Tests of a minimum wait use threads and the real clock. Tests of a maximum wait use a simulated clock that moves only
during `sleep`, so that they do not fail on a busy machine.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from itertools import pairwise

import pytest

import pipelines.rivo.limiter as limiter_module
from pipelines.rivo.limiter import RateLimiter


class StillClock:
    """Replacement for `time` in which only `sleep` moves the clock."""

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
    """Return the times at which requests were permitted, in order."""
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
def test_limiter_permits_at_most_the_rate_in_any_second(rate: float, each: int, most: int) -> None:
    times = acquire_in_threads(RateLimiter(rate), each)
    assert len(times) == each * 4
    assert most_in_a_second(times) <= most


def test_limiter_spaces_requests_evenly() -> None:
    times = acquire_in_threads(RateLimiter(30), 10)
    # Otherwise a delayed half of one burst could arrive within the same second as the next burst.
    assert min(later - earlier for earlier, later in pairwise(times)) > 0.9 / 30


def test_limiter_reaches_the_rate(clock: StillClock) -> None:
    limiter = RateLimiter(30)
    times = [limiter.acquire() for _ in range(61)]
    assert times[-1] - times[0] == pytest.approx(2, rel=0.03)
    assert most_in_a_second(times) == 30


def test_limiter_supports_a_rate_below_one_per_second(clock: StillClock) -> None:
    limiter = RateLimiter(0.8)
    assert -limiter.acquire() + limiter.acquire() == pytest.approx(1.25, rel=0.03)


def test_pause_is_not_shortened_by_a_shorter_pause(clock: StillClock) -> None:
    limiter = RateLimiter(1000)
    started = limiter.acquire()
    limiter.pause(0.5)
    limiter.pause(0.1)
    assert limiter.acquire() == pytest.approx(started + 0.5)


def test_pause_delays_every_thread() -> None:
    limiter = RateLimiter(1000)
    started = limiter.acquire()
    limiter.pause(0.5)
    assert acquire_in_threads(limiter, 2)[0] >= started + 0.5
