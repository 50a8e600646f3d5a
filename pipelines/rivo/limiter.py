"""Rate limit shared by all requests of a sync.

The server counts requests when they arrive, which is later than they are sent, by a time that varies: a slow network, a
new connection, a busy machine. Two requests sent a second apart can therefore arrive within one second. So a request
counts for a second from its latest possible arrival, not from its sending.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

_MARGIN = 1.005
"""Clocks differ, and the fastest response seen is not the fastest one possible."""
_SPACING = 0.9
"""Minimum interval between two requests, as a fraction of the mean interval. Even spacing avoids bursts."""
_RECENT = 100
"""Number of responses among which the fastest one is looked for."""
_LONGEST_SLEEP = 0.02
"""Seconds after which a waiting thread looks again whether a response has come."""


class RateLimiter:
    """Limits the requests of all threads together to `rate` in any one second, as the server counts them.

    There are as many places as requests are permitted per second. A request takes one, and frees it one second
    after it can have arrived. It arrives before its response does, and at least as long before it as the fastest
    recent response took. `pause` delays every thread, so that a 429 for one request slows down all of them.
    """

    def __init__(self, rate: float) -> None:
        """`rate` is in requests per second and can be below 1."""
        self._places = max(1, int(rate))
        # At least one second: a rate of 2.9 permits 2 requests in any second, not 2 in each 0.7 seconds.
        self._window = max(1.0, self._places / rate) * _MARGIN
        self._spacing = _SPACING * self._window / self._places
        self._answered_at: list[float] = []
        """A heap of the moments at which requests were answered whose places are not free yet."""
        self._unanswered = 0
        self._durations: deque[float] = deque(maxlen=_RECENT)
        self._not_before = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def request(self) -> Iterator[float]:
        """Wait until a request may be sent. The block sends it and ends when the response has begun, or with an error.

        Yields:
            the moment at which the request may be sent, as of `time.monotonic`.
        """
        sent_at = self._take()
        # Of a request that fails, it is not known whether it arrived at all: it counts from its failure.
        took = None
        try:
            yield sent_at
            took = time.monotonic() - sent_at
        finally:
            with self._lock:
                answered_at = time.monotonic()
                if took is None:
                    answered_at += self._fastest()
                else:
                    self._durations.append(took)
                self._unanswered -= 1
                heapq.heappush(self._answered_at, answered_at)

    def pause(self, seconds: float) -> None:
        """Block all requests for `seconds` from now."""
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)

    def _take(self) -> float:
        """Wait until a place is free and the last request is long enough ago, and take the place."""
        while True:
            with self._lock:
                now = time.monotonic()
                ready = self._not_before
                is_full = len(self._answered_at) + self._unanswered >= self._places
                if is_full and self._answered_at:
                    ready = max(ready, self._answered_at[0] - self._fastest() + self._window)
                elif is_full:
                    ready = max(ready, now + _LONGEST_SLEEP)
                if ready <= now:
                    if is_full:
                        heapq.heappop(self._answered_at)
                    self._unanswered += 1
                    self._not_before = now + self._spacing
                    return now
            time.sleep(min(ready - now, _LONGEST_SLEEP))

    def _fastest(self) -> float:
        """Return the shortest recent time between a request and its response."""
        return min(self._durations, default=0.0)
