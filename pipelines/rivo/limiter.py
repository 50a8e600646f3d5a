"""Rate limit shared by all requests of a sync."""

from __future__ import annotations

import threading
import time
from collections import deque

# Network jitter can make two requests arrive closer together than they were sent.
_MARGIN = 1.02
_SPACING = 0.9
"""Minimum interval between two requests, as a fraction of the mean interval. Even spacing avoids bursts."""


class RateLimiter:
    """Limits the requests of all threads together to `rate` in any one second, evenly spaced.

    `pause` delays every thread, so that a 429 for one request slows down all of them.
    """

    def __init__(self, rate: float) -> None:
        """`rate` is in requests per second and can be below 1."""
        self._burst = max(1, int(rate))
        # At least one second: a rate of 2.9 permits 2 requests in any second, not 2 in each 0.7 seconds.
        self._window = max(1.0, self._burst / rate) * _MARGIN
        self._spacing = _SPACING * self._window / self._burst
        self._sent: deque[float] = deque(maxlen=self._burst)
        self._not_before = 0.0
        self._lock = threading.Lock()

    def acquire(self) -> float:
        """Wait until a request may be sent, count it as sent, and return that moment as of `time.monotonic`."""
        while True:
            with self._lock:
                now = time.monotonic()
                ready = self._not_before
                if self._sent:
                    ready = max(ready, self._sent[-1] + self._spacing)
                if len(self._sent) == self._burst:
                    ready = max(ready, self._sent[0] + self._window)
                if ready <= now:
                    self._sent.append(now)
                    return now
            time.sleep(ready - now)

    def pause(self, seconds: float) -> None:
        """Block all requests for `seconds` from now."""
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)
