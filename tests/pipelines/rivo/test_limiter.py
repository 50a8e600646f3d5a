"""Rate limit shared by all threads.

Tests of a minimum wait use threads and the real clock. Tests of a maximum wait use a simulated clock that moves only
during `sleep`, so that they do not fail on a busy machine.
"""

from __future__ import annotations

import heapq
import threading
import time
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import pairwise
from random import Random

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


class Network(StillClock):
    """Requests of several workers that are on their way while the simulated clock moves."""

    def __init__(self, workers: int) -> None:
        super().__init__()
        self.workers = workers
        self._sent: list[tuple[float, int, AbstractContextManager[float]]] = []

    def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        while self._sent and self._sent[0][0] <= until:
            self.now, _, request = heapq.heappop(self._sent)
            request.__exit__(None, None, None)
        self.now = until

    def send(self, limiter: RateLimiter, took: float) -> float:
        """Send a request that is answered after `took` seconds, once a worker is free; return when it was sent."""
        if len(self._sent) == self.workers:
            self.sleep(self._sent[0][0] - self.now)
        request = limiter.request()
        sent_at = request.__enter__()
        heapq.heappush(self._sent, (sent_at + took, id(request), request))
        return sent_at


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network(workers=8)
    monkeypatch.setattr(limiter_module, "time", network)
    return network


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StillClock:
    clock = StillClock()
    monkeypatch.setattr(limiter_module, "time", clock)
    return clock


def acquire(limiter: RateLimiter) -> float:
    """Wait until a request may be sent that takes no time, and return that moment."""
    with limiter.request() as sent_at:
        return sent_at


def acquire_in_threads(limiter: RateLimiter, each: int, threads: int = 4) -> list[float]:
    """Return the times at which requests were permitted, in order."""
    times: list[float] = []

    def work() -> None:
        times.extend(acquire(limiter) for _ in range(each))

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


@pytest.mark.parametrize("jitter", [0.03, 0.15, 0.6])
def test_server_counts_at_most_the_rate_however_long_requests_are_on_their_way(jitter: float) -> None:
    limiter, random, arrived = RateLimiter(20), Random(13), []
    delays = iter([random.random() ** 3 * jitter for _ in range(1_000)])
    ends_at = time.monotonic() + 4

    def work() -> None:
        while time.monotonic() < ends_at:
            with limiter.request():
                time.sleep(0.01 + next(delays))
                arrived.append(time.monotonic())
                time.sleep(0.05)

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(work) for _ in range(8)]:
            future.result()
    assert most_in_a_second(sorted(arrived)) <= 20


@pytest.mark.parametrize(("jitter", "least"), [(0.03, 0.95), (0.15, 0.9), (0.6, 0.8)])
def test_requests_of_different_delays_cost_little_speed(
    jitter: float, least: float, network: Network
) -> None:
    limiter, random = RateLimiter(20), Random(13)
    times = [network.send(limiter, 0.06 + random.random() ** 3 * jitter) for _ in range(400)]
    assert (len(times) - 1) / (times[-1] - times[0]) > least * 20


def test_unanswered_request_keeps_its_place() -> None:
    limiter = RateLimiter(2)
    with limiter.request() as first:
        with limiter.request():
            pass
        with limiter.request() as third:
            assert third - first > 1, "the second place was free again"
        started = time.monotonic()
    with limiter.request() as fourth:
        assert fourth - started > 0.9, "the first request can have arrived when it was answered"


def test_failed_request_counts_from_its_failure() -> None:
    limiter = RateLimiter(1)
    with limiter.request():
        pass
    ended = []

    def lose() -> None:
        with limiter.request():
            time.sleep(0.3)
            ended.append(time.monotonic())
            raise OSError("lost")

    with pytest.raises(OSError, match="lost"):
        lose()
    with limiter.request() as following:
        assert following - ended[0] > 1


def test_constant_delay_costs_no_speed(network: Network) -> None:
    limiter = RateLimiter(20)
    times = [network.send(limiter, 0.2) for _ in range(400)]
    assert (len(times) - 1) / (times[-1] - times[0]) == pytest.approx(20, rel=0.03)
    assert most_in_a_second(times) == 20


def test_limiter_spaces_requests_evenly() -> None:
    times = acquire_in_threads(RateLimiter(30), 10)
    # Otherwise a delayed half of one burst could arrive within the same second as the next burst.
    assert min(later - earlier for earlier, later in pairwise(times)) > 0.9 / 30


def test_limiter_reaches_the_rate(clock: StillClock) -> None:
    limiter = RateLimiter(30)
    times = [acquire(limiter) for _ in range(61)]
    assert times[-1] - times[0] == pytest.approx(2, rel=0.03)
    assert most_in_a_second(times) == 30


def test_limiter_supports_a_rate_below_one_per_second(clock: StillClock) -> None:
    limiter = RateLimiter(0.8)
    assert -acquire(limiter) + acquire(limiter) == pytest.approx(1.25, rel=0.03)


def test_pause_is_not_shortened_by_a_shorter_pause(clock: StillClock) -> None:
    limiter = RateLimiter(1000)
    started = acquire(limiter)
    limiter.pause(0.5)
    limiter.pause(0.1)
    assert acquire(limiter) == pytest.approx(started + 0.5)


def test_pause_delays_every_thread() -> None:
    limiter = RateLimiter(1000)
    started = acquire(limiter)
    limiter.pause(0.5)
    assert acquire_in_threads(limiter, 2)[0] >= started + 0.5
