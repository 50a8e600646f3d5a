"""Will this account work? Looks at every list with a few requests and writes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pipelines.errors import ListError, SettingsError
from pipelines.rivo.client import Client
from pipelines.rivo.cursor import MAX_OFFSET_PAGE, PAGE_SIZE, resource_id
from pipelines.rivo.endpoints import ENDPOINTS, Endpoint
from pipelines.settings import Settings


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
    client = Client(settings)
    pages = 0
    latencies: list[float] = []
    for endpoint in ENDPOINTS.values():
        started = time.monotonic()
        try:
            honoured = _cursor_is_honoured(client, endpoint)
            latencies.append((time.monotonic() - started) / 2)
            count = _pages(client, endpoint)
        except ListError as error:
            yield Finding(False, str(error))
            continue
        pages += count
        size = f"at most {count * PAGE_SIZE:,} rows, {count:,} page{'' if count == 1 else 's'}"
        if count >= MAX_OFFSET_PAGE:
            size = f"more than {(count - 1) * PAGE_SIZE:,} rows"
        if honoured:
            yield Finding(True, f"{endpoint.title}: reachable, cursor honoured, {size}")
        else:
            yield Finding(
                count < MAX_OFFSET_PAGE,
                f"{endpoint.title}: the server ignores since_id; it will be read by page number, {size}",
            )
    if latencies:
        latency = sum(latencies) / len(latencies)
        seconds = pages * max(latency, 1 / settings.rate_limit)
        yield Finding(
            True,
            f"{latency * 1000:.0f} ms a request; a first load of {pages:,} pages takes about "
            f"{seconds / 60:.1f} minutes",
        )
    if client.observed_at:
        # The API's clock is the one that counts, so a difference does no harm.
        difference = abs((datetime.now(UTC) - client.observed_at).total_seconds())
        yield Finding(True, f"this machine's clock and the API's differ by {difference:,.0f} seconds")


def _cursor_is_honoured(client: Client, endpoint: Endpoint) -> bool:
    """Whether asking behind the first row gives rows behind it; a list of one row cannot tell, and need not."""
    first = client.get(endpoint.path, {"pagination[since_id]": 0, "pagination[limit]": 1}, endpoint.title)
    ids = [resource_id(row) for row in first["data"]]
    if not ids or ids[0] is None:
        return True
    after = client.get(
        endpoint.path, {"pagination[since_id]": ids[0], "pagination[limit]": 1}, endpoint.title
    )
    following = [resource_id(row) for row in after["data"]]
    return not following or (following[0] is not None and following[0] > ids[0])


def _pages(client: Client, endpoint: Endpoint) -> int:
    """How many pages the list has, found by halving over the page numbers that can be asked for."""
    low, high = 0, MAX_OFFSET_PAGE
    while low < high:
        middle = (low + high + 1) // 2
        payload = client.get(
            endpoint.path, {"pagination[page]": middle, "pagination[per_page]": PAGE_SIZE}, endpoint.title
        )
        low, high = (middle, high) if payload["data"] else (low, middle - 1)
    return low
