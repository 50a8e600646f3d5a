"""Will this account work? Looks at every list with a few requests and writes nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipelines.errors import ListError, SettingsError
from pipelines.rivo.client import Client, by_id, by_number
from pipelines.rivo.columns import Endpoint
from pipelines.rivo.decode import Row, resource_id
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.paging import MAX_OFFSET_PAGE, WORKERS
from pipelines.rivo.ranges import PAGE_SIZE, PAGES_BEFORE_JUMPING

if TYPE_CHECKING:
    from pipelines.settings import Settings

_PLACES = 12
"""At so many places of a list it is looked how close its ids lie."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, and whether it is as it should be."""

    good: bool
    text: str


def examine(settings: Settings) -> Iterator[Finding]:
    """Ask every list for a little: key, reach, cursor, size, latency; then the time a first load takes.

    Raises:
        SettingsError: there is no key.
        ApiError: the key is refused, or nothing answers.
    """
    if settings.api_key is None:
        raise SettingsError(
            "RIVO_API_KEY is not set, so there is no account to look at. Put the key into .env (see .env.example)."
        )
    client = Client.of_settings(settings)
    pages: list[int] = []
    latencies: list[float] = []
    for endpoint in ENDPOINTS.values():
        started, asked = time.monotonic(), client.requests
        try:
            honoured = _cursor_is_honoured(client, endpoint)
            latencies.append((time.monotonic() - started) / (client.requests - asked))
            rows, is_exact = _rows(client, endpoint, honoured)
        except ListError as error:
            yield Finding(False, str(error))
            continue
        pages.append(max(1, math.ceil(rows / PAGE_SIZE)))
        size = (
            f"{'' if is_exact else 'about '}{rows:,} rows, {pages[-1]:,} page{'' if pages[-1] == 1 else 's'}"
        )
        if honoured:
            yield Finding(True, f"{endpoint.title}: reachable, cursor honoured, {size}")
        else:
            yield Finding(
                pages[-1] <= MAX_OFFSET_PAGE,
                f"{endpoint.title}: the server ignores since_id; it will be read by page number, {size}",
            )
    if latencies:
        yield _first_load(sum(latencies) / len(latencies), pages, settings.rate_limit)
    if client.observed_at:
        # The API's clock is the one that counts, so a difference does no harm.
        difference = abs((datetime.now(UTC) - client.observed_at).total_seconds())
        yield Finding(True, f"this machine's clock and the API's differ by {difference:,.0f} seconds")


def _first_load(latency: float, pages: list[int], rate: float) -> Finding:
    """How long it takes to read so many pages of each list, at seconds a request and requests a second."""
    seconds = sum(
        count * max(latency / (WORKERS if count > PAGES_BEFORE_JUMPING else 1), 1 / rate) for count in pages
    )
    total = sum(pages)
    took = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{max(seconds, 2):.0f} seconds"
    return Finding(
        True, f"{latency * 1000:.0f} ms a request; a first load of {total:,} pages takes about {took}"
    )


def _cursor_is_honoured(client: Client, endpoint: Endpoint) -> bool:
    """Whether asking behind the first row gives rows behind it; a list of one row cannot tell, and need not."""
    first = client.get(endpoint.path, by_id(0, 1), endpoint.title)
    ids = [resource_id(row) for row in first["data"]]
    if not ids or ids[0] is None:
        return True
    after = client.get(endpoint.path, by_id(ids[0], 1), endpoint.title)
    following = [resource_id(row) for row in after["data"]]
    return not following or (following[0] is not None and following[0] > ids[0])


def _rows(client: Client, endpoint: Endpoint, honoured: bool) -> tuple[int, bool]:
    """How many rows the list has, and whether that is exact.

    Counted by halving over the page numbers that can be asked for, as far as those reach (page 500, documented);
    behind that, or where the server ignores them too, guessed from how close the ids lie.
    """
    low, high, last = 0, MAX_OFFSET_PAGE, list[Row]()
    while low < high:
        middle = (low + high + 1) // 2
        payload = client.get(endpoint.path, by_number(middle, PAGE_SIZE), endpoint.title)
        if payload["data"]:
            low, last = middle, payload["data"]
        else:
            high = middle - 1
    if low == MAX_OFFSET_PAGE and honoured:
        return _guessed_rows(client, endpoint), False
    return max(low - 1, 0) * PAGE_SIZE + len(last), low < MAX_OFFSET_PAGE


def _guessed_rows(client: Client, endpoint: Endpoint) -> int:
    """The rows of a list by cursor alone: where its ids end, and how close they lie at a few places of it."""

    def behind(row_id: int, limit: int) -> list[int]:
        params = by_id(row_id, limit)
        found = map(resource_id, client.get(endpoint.path, params, endpoint.title)["data"])
        return [each for each in found if each is not None]

    ids = behind(0, PAGE_SIZE)
    if len(ids) < PAGE_SIZE:
        return len(ids)
    first = ids[0]
    step = ids[-1] - first
    known, beyond = ids[-1], ids[-1] + step
    while found := behind(beyond, 1):
        step *= 4
        known, beyond = found[0], found[0] + step
    while beyond - known > (beyond - first) // 100:
        middle = (known + beyond) // 2
        found = behind(middle, 1)
        known, beyond = (found[0], beyond) if found else (known, middle)
    width = (known - first) / _PLACES
    rows = 0.0
    for place in range(_PLACES):
        middle = first + round((place + 0.5) * width)
        ids = behind(middle, PAGE_SIZE)
        rows += width * len(ids) / (ids[-1] - middle) if ids else 0
    return int(round(rows, -2))
