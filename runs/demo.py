"""The demo: a sandbox store in a process of its own, used instead of Rivo if no key is set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.errors import RivoError, command
from pipelines.network import Connection, ConnectionFailure
from pipelines.settings import PROJECT
from runs.demo_shops import demo_shop

DEMO_SYNCS = 13
"""Number of weekly syncs that a first demo replays, so that there is a tier migration to show."""


class DemoStore:
    """A running sandbox store, in a process of its own, with a clock that can be set."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key
        self._clock = url.removesuffix("/merchant_api/v1") + "/_sandbox/clock"

    @property
    def now(self) -> datetime:
        """The store's virtual time, UTC."""
        return datetime.fromisoformat(self._ask(None)["now"]).astimezone(UTC)

    def set_clock(self, now: datetime) -> None:
        """Set the store's virtual time."""
        self._ask({"now": now.isoformat()})

    def _ask(self, body: dict[str, str] | None) -> dict[str, str]:
        try:
            answer = Connection(self._clock).send(
                "GET" if body is None else "POST", body=body and json.dumps(body), timeout=120
            )
            clock: dict[str, str] = json.loads(answer.data)
            return clock
        except (ConnectionFailure, ValueError) as error:
            raise RivoError(f"The sandbox store no longer answers ({error}). Run the sync again.") from None


def calls_of(shop: str) -> Path:
    """Return the file that keeps the actions applied to a demo shop's store, which otherwise forgets them."""
    return PROJECT / "data" / (f"shops/{shop}.calls.jsonl" if shop else "demo.calls.jsonl")


_started: dict[str, subprocess.Popen[str]] = {}


def start_demo_store(shop: str = "") -> None:
    """Start the simulation of a demo shop now; the next `demo_store` uses it."""
    _started[shop] = subprocess.Popen(
        [
            *(sys.executable, "-m", "sandbox", "--port", "0", "--rate-limit", "0", "--exit-with-parent"),
            *("--journal", str(calls_of(shop))),
            *demo_shop(shop).options,
        ],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if not name.startswith("RIVO_")},
        text=True,
    )


@contextmanager
def demo_store(shop: str = "") -> Iterator[DemoStore]:
    """Start a demo shop's store on a free port of this machine; it stops with the block, or with this process.

    Raises:
        RivoError: it does not start.
    """
    if shop not in _started:
        start_demo_store(shop)
    process = _started.pop(shop)
    try:
        assert process.stdout is not None
        said = dict(process.stdout.readline().strip().partition("=")[::2] for _ in range(2))
        if {"RIVO_API_KEY", "RIVO_API_URL"} - said.keys():
            raise RivoError(f"The sandbox store did not start. Run `{command()} sandbox` to see why.")
        yield DemoStore(said["RIVO_API_URL"], said["RIVO_API_KEY"])
    finally:
        # It stores nothing, so an orderly end is not needed.
        process.kill()
        process.wait(timeout=10)


def demo_times(store_now: datetime, last_observed_at: datetime | None) -> list[datetime]:
    """Return the virtual times of the syncs to run now: weekly ones at first, then one a day after the last."""
    if last_observed_at is None:
        return [store_now - timedelta(weeks=DEMO_SYNCS - 1 - n) for n in range(DEMO_SYNCS)]
    return [last_observed_at + timedelta(days=1)]
