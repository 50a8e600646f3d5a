"""One rate limit for all requests of a sync, whoever sends them."""

from __future__ import annotations

import threading
import time
from collections import deque

# Network jitter may bring two requests closer together than they were sent.
_MARGIN = 1.02
_SPACING = 0.9
"""Of the mean distance: requests go evenly, so that jitter moves one across a second's edge and not a burst."""


class RateLimiter:
    """Lets at most `rate` requests a second start, in any second, over all threads, evenly spread.

    `pause` holds everyone back, which is how a 429 for one request slows all of them.
    """

    def __init__(self, rate: float) -> None:
        """`rate`: requests per second, may be below 1."""
        self._burst = max(1, int(rate))
        # Never shorter than a second: 2.9 a second are 2 in any one second, not 2 in each 0.7.
        self._window = max(1.0, self._burst / rate) * _MARGIN
        self._spacing = _SPACING * self._window / self._burst
        self._sent: deque[float] = deque(maxlen=self._burst)
        self._not_before = 0.0
        self._lock = threading.Lock()

    def acquire(self) -> float:
        """Wait until one more request may be sent, and count it as sent: the moment of that, by `time.monotonic`."""
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
        """Let nobody send for `seconds` from now."""
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)
