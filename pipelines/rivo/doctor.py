"""Checks of an account, for `rivo doctor`: a few requests per list, without writing anything."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipelines.durations import in_words
from pipelines.errors import ListError, SettingsError
from pipelines.network import Connection
from pipelines.rivo.client import Client
from pipelines.rivo.columns import Endpoint
from pipelines.rivo.decode import Row, resource_id
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.exchange import Exchange
from pipelines.rivo.paging import MAX_OFFSET_PAGE, WORKERS, by_id, by_number
from pipelines.rivo.ranges import PAGE_SIZE, PAGES_BEFORE_JUMPING
from pipelines.time_zones import first_difference

if TYPE_CHECKING:
    from pipelines.settings import Settings

_DENSITY_SAMPLES = 12
"""Number of samples used to estimate how dense the ids of a list are."""
_CLOCK_SECONDS = 300
"""Difference of two clocks that needs attention."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        good: whether syncs will work.
        text: the result, as a sentence.
        is_warning: whether it needs attention although syncs work.
        is_local: whether it names hosts or paths of this machine, which a report leaves out.
    """

    good: bool
    text: str
    is_warning: bool = False
    is_local: bool = False

    @property
    def label(self) -> str:
        """Return a word for the result."""
        if not self.good:
            return "PROBLEM"
        return "WARNING" if self.is_warning else "ok"


def examine(settings: Settings, listen: Callable[[Exchange], None] | None = None) -> Iterator[Finding]:
    """Check that each list can be read, how it is paged and how long it is; then estimate the time of a first load.

    Args:
        settings: the account.
        listen: called with each request that was answered.

    Raises:
        SettingsError: RIVO_API_KEY is not set, or a proxy or a certificate file cannot be used.
        ApiError: the key is refused, or no server answers.
    """
    if settings.api_key is None:
        raise SettingsError(
            f"{settings.variable('api_key')} is not set, so there is no account to check. Set it in .env (see "
            ".env.example)."
        )
    clocks: list[tuple[datetime, datetime]] = []

    def hear(exchange: Exchange) -> None:
        if client.observed_at and not clocks:
            clocks.append((client.observed_at, datetime.now(UTC)))
        if listen:
            listen(exchange)

    client = Client.of_settings(settings, listen=hear)
    yield Finding(True, f"requests to Rivo's API are sent {client.route}", is_local=True)
    if settings.alert_url:
        yield _alerts(settings.alert_url.get_secret_value())
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
        counted = f"{'' if is_exact else 'about '}{rows:,} row{'' if rows == 1 else 's'}"
        yield _size(endpoint, honoured, counted, pages[-1])
    if latencies:
        yield _first_load(sum(latencies) / len(latencies), pages, settings.rate_limit)
    if clocks:
        yield _clocks(*clocks[0])
    yield _time_zone(settings)


def _size(endpoint: Endpoint, honoured: bool, rows: str, pages: int) -> Finding:
    size = f"{rows}, {pages:,} page{'' if pages == 1 else 's'}"
    if honoured:
        return Finding(True, f"{endpoint.title}: reachable, cursor honoured, {size}")
    if pages >= MAX_OFFSET_PAGE:
        return Finding(
            False,
            f"{endpoint.title}: the server ignores since_id, and the list fills all {MAX_OFFSET_PAGE} pages of "
            f"{PAGE_SIZE} rows that can be read by page number. A sync cannot know whether there are more rows, and "
            "refuses the list.",
        )
    return Finding(
        True,
        f"{endpoint.title}: the server ignores since_id; it will be read by page number, {size}",
        is_warning=True,
    )


def _alerts(url: str) -> Finding:
    """Describe how alerts are sent. The address is a secret and is not shown."""
    try:
        return Finding(True, f"Alerts (RIVO_ALERT_URL) are sent {Connection(url).route}", is_local=True)
    except SettingsError as error:
        return Finding(False, f"Alerts (RIVO_ALERT_URL) cannot be sent: {error}", is_local=True)
    except ValueError:
        return Finding(False, "Alerts cannot be sent: RIVO_ALERT_URL is not a valid URL.")


def _time_zone(settings: Settings) -> Finding:
    name, variable = settings.timezone, settings.variable("timezone")
    differing = first_difference(name, datetime.now(UTC))
    if differing is None:
        return Finding(True, f"{variable} {name}: Python and DuckDB know the same rules")
    moment, ours, theirs = differing
    return Finding(
        True,
        f"{variable} {name}: the time-zone data of Python and DuckDB differ from {moment:%Y-%m-%d %H:%M} UTC on, "
        f"when it is {ours:%H:%M} for Python and {theirs:%H:%M} for DuckDB. Syncs start by Python's time, and local "
        "days in the models begin by DuckDB's. One of the two is old: update this project and this machine's "
        "time-zone data.",
        is_warning=True,
    )


def _clocks(api: datetime, ours: datetime) -> Finding:
    """Compare the clocks. A wrong local clock does no harm to data, which are dated by the API's."""
    difference = abs((ours - api).total_seconds())
    if difference <= _CLOCK_SECONDS:
        return Finding(True, f"this machine's clock and the API's differ by {in_words(difference)}")
    return Finding(
        True,
        f"this machine's clock and the API's differ by {in_words(difference)}: here it is {ours:%Y-%m-%d %H:%M} UTC, "
        f"there {api:%Y-%m-%d %H:%M} UTC. The API's clock dates all data. This machine's decides when syncs start and "
        "whether certificates are valid; if it is the wrong one, set it, for example with NTP.",
        is_warning=True,
    )


def _first_load(latency: float, pages: list[int], rate: float) -> Finding:
    """Estimate the duration of a first load.

    Args:
        latency: seconds per request.
        pages: number of pages of each list.
        rate: requests per second.
    """
    seconds = sum(
        count * max(latency / (WORKERS if count > PAGES_BEFORE_JUMPING else 1), 1 / rate) for count in pages
    )
    total = sum(pages)
    took = in_words(max(seconds, 2))
    return Finding(
        True,
        f"{latency * 1000:.0f} ms per request; a first load of {total:,} page{'' if total == 1 else 's'} takes about "
        f"{took}",
    )


def _cursor_is_honoured(client: Client, endpoint: Endpoint) -> bool:
    """Return whether a request after the first row returns a later row; true for lists of at most one row."""
    first = client.get(endpoint.path, by_id(0, 1), endpoint.title)
    ids = [resource_id(row) for row in first["data"]]
    if not ids or ids[0] is None:
        return True
    after = client.get(endpoint.path, by_id(ids[0], 1), endpoint.title)
    following = [resource_id(row) for row in after["data"]]
    return not following or (following[0] is not None and following[0] > ids[0])


def _rows(client: Client, endpoint: Endpoint, honoured: bool) -> tuple[int, bool]:
    """Return the number of rows of a list, and whether it is exact.

    The last page is found by binary search over the page numbers, which reach page 500 (documented). If the list is
    longer, or the server ignores page numbers too, the number is estimated from the density of the ids.
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
        return _estimated_rows(client, endpoint), False
    return max(low - 1, 0) * PAGE_SIZE + len(last), low < MAX_OFFSET_PAGE


def _estimated_rows(client: Client, endpoint: Endpoint) -> int:
    """Estimate the number of rows by cursor alone, from the last id and the density of the ids in a few places."""

    def ids_after(row_id: int, limit: int) -> list[int]:
        params = by_id(row_id, limit)
        found = map(resource_id, client.get(endpoint.path, params, endpoint.title)["data"])
        return [each for each in found if each is not None]

    ids = ids_after(0, PAGE_SIZE)
    if len(ids) < PAGE_SIZE:
        return len(ids)
    first = ids[0]
    step = ids[-1] - first
    known, beyond = ids[-1], ids[-1] + step
    while found := ids_after(beyond, 1):
        step *= 4
        known, beyond = found[0], found[0] + step
    while beyond - known > (beyond - first) // 100:
        middle = (known + beyond) // 2
        found = ids_after(middle, 1)
        known, beyond = (found[0], beyond) if found else (known, middle)
    width = (known - first) / _DENSITY_SAMPLES
    rows = 0.0
    for sample in range(_DENSITY_SAMPLES):
        middle = first + round((sample + 0.5) * width)
        ids = ids_after(middle, PAGE_SIZE)
        rows += width * len(ids) / (ids[-1] - middle) if ids else 0
    return int(round(rows, -2))
