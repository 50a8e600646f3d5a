"""How a list's reading begins: from which id, with what is known of it, and ahead of the lists before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from threading import Thread
from typing import Any

import duckdb

from pipelines.errors import ApiError, ListError, command
from pipelines.rivo.client import Client, by_id
from pipelines.rivo.columns import Endpoint
from pipelines.rivo.decode import Row
from pipelines.rivo.paging import read_list
from pipelines.settings import Settings
from pipelines.warehouse import RAW

FLOOR_DAYS = 180
"""How far back an open redemption or referral is still looked at between sweeps."""
_MOST_READ_APART = 40
"""So many rows set apart before the start are asked for one by one; more than that, and the start moves back."""
_PAGES_AHEAD = 16
"""So many pages of the next list are fetched while one lands; they wait in memory."""


class PagesAhead:
    """Pages of which the first ones are fetched by a thread until somebody takes them; errors come with them."""

    def __init__(self, pages: Iterator[list[Row]]) -> None:
        """`pages` is a generator."""
        self._pages = pages
        self._fetched: list[list[Row]] = []
        self._error: BaseException | None = None
        self._taken = False
        self._abandoned = False
        self.whole = False
        """Whether all pages there are have been fetched."""
        self._thread = Thread(target=self._fetch, daemon=True)
        self._thread.start()

    def _fetch(self) -> None:
        try:
            for page in islice(self._pages, _PAGES_AHEAD):
                self._fetched.append(page)
                if self._taken:
                    break
            else:
                self.whole = len(self._fetched) < _PAGES_AHEAD
        except BaseException as error:
            self._error = error
        if self._abandoned:
            self._pages.close()  # type: ignore[attr-defined]

    def __iter__(self) -> Iterator[list[Row]]:
        """All pages, once."""
        self._taken = True
        self._thread.join()
        while self._fetched:
            yield self._fetched.pop(0)
        if self._error:
            raise self._error
        yield from self._pages

    def close(self) -> None:
        """Ask for no more pages; does not wait for one that is being tried again and again."""
        self._taken = self._abandoned = True
        if not self._thread.is_alive():
            self._pages.close()  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Reading:
    """A list that is being read: the rows with ids above `since_id`, and those with one of the ids `apart`."""

    endpoint: Endpoint
    since_id: int
    apart: Sequence[int]
    pages: PagesAhead
    warnings: list[str]
    """Sentences on what was odd, as they come up."""


def begin(
    connection: duckdb.DuckDBPyConnection,
    client: Client,
    settings: Settings,
    endpoint: Endpoint,
    *,
    full: bool,
) -> Reading:
    """Begin to read a list, whole if it is `full` or due, else from the rows on that can still change.

    A list that cannot be read says so when its pages are taken.

    Raises:
        ApiError: no list can be read.
    """
    since_id, apart = 0, list[int]()
    warnings: list[str] = []
    try:
        if endpoint.reading == "cursor" and not full:
            observed_at = observation_time(connection, client, endpoint)
            since_id = _start(connection, endpoint, observed_at, settings)
        apart = _set_apart_before(connection, endpoint, since_id)
        if len(apart) > _MOST_READ_APART:
            since_id, apart = apart[0] - 1, []
        known_ids = _known_ids(connection, endpoint, since_id)
        pages = read_list(client, endpoint, since_id, warnings.append, known_ids, apart)
    except ListError as error:
        pages = _raising(error)
    return Reading(endpoint, since_id, apart, PagesAhead(pages), warnings)


def _raising(error: ListError) -> Iterator[list[Row]]:
    raise error
    yield


def api_time(client: Client, endpoint: Endpoint) -> datetime:
    """What the API's clock says, by its first answer; asks for one row where nothing has been asked yet."""
    if client.observed_at is None:
        client.get(endpoint.path, by_id(0, 1), endpoint.title)
    return client.observed_at or datetime.now(UTC)


def observation_time(connection: duckdb.DuckDBPyConnection, client: Client, endpoint: Endpoint) -> datetime:
    """The sync's observation time, by the API's clock.

    Raises:
        ApiError: it lies before what the warehouse holds, so that histories would run backwards.
    """
    observed_at = api_time(client, endpoint)
    row = connection.execute(f"select max(observed_at) from {RAW}.sync_log where complete").fetchone()
    if row and row[0] and observed_at < row[0]:
        raise ApiError(
            f"The API's clock says {observed_at:%Y-%m-%d %H:%M:%S} UTC, but the warehouse holds a sync of "
            f"{row[0]:%Y-%m-%d %H:%M:%S} UTC: histories cannot run backwards. Nothing was changed. "
            "If the clock is wrong now, run the sync again when it is right. If it was wrong then and ran ahead, run "
            f"`{command()} sync --rewind` once: what was read then counts as read now, no history is lost. If this is "
            "another shop, or a sandbox started anew, set RIVO_WAREHOUSE to another file."
        )
    return observed_at


def last_sweep(connection: duckdb.DuckDBPyConnection, endpoint: Endpoint) -> datetime | None:
    """When a list was last read whole; None where it never was, or must be again since RIVO_PII has changed."""
    # A file that an older release published has no column reread_since.
    settings = f"(from {RAW}.settings union all by name select null::timestamptz as reread_since)"
    row = connection.execute(
        f"select max(observed_at) from {RAW}.sync_log where list = ? and complete and kind = 'full' "
        f"and observed_at > coalesce((select max(reread_since) from {settings}), '-infinity'::timestamptz)",
        [endpoint.name],
    ).fetchone()
    return row[0] if row else None


def _start(
    connection: duckdb.DuckDBPyConnection, endpoint: Endpoint, observed_at: datetime, settings: Settings
) -> int:
    """The since_id from which a cursor list must be read: 0 when a complete sweep is due.

    That is just before the smallest id of the rows that can still change; what changed outside that window is
    caught by the next sweep.
    """
    swept = last_sweep(connection, endpoint)
    if swept is None or observed_at >= swept + timedelta(days=settings.full_sweep_days):
        return 0
    row = connection.execute(
        f"""
        select least(
            min(id) filter (where _deleted_at is null and {endpoint.open_rows}),
            max(id) + 1
        ) - 1
        from {RAW}.{endpoint.name}
        cross join (
            select
                $observed_at - to_days($lookback_days) as lookback_start,
                $observed_at - to_days($floor_days) as floor_start
        )
        """,
        {
            "observed_at": observed_at,
            "lookback_days": settings.lookback_days,
            "floor_days": FLOOR_DAYS,
        },
    ).fetchone()
    return row[0] if row and row[0] is not None else 0


def _set_apart_before(connection: duckdb.DuckDBPyConnection, endpoint: Endpoint, since_id: int) -> list[int]:
    """The ids of the quarantined rows that a read behind `since_id` would not find, ascending."""
    rows = connection.execute(
        f"select distinct id from {RAW}._quarantine where list = ? and id between 1 and ? order by id",
        [endpoint.name, since_id],
    ).fetchall()
    return [row_id for (row_id,) in rows]


def _known_ids(
    connection: duckdb.DuckDBPyConnection, endpoint: Endpoint, since_id: int
) -> Sequence[int] | None:
    """The ids of the rows that a read behind `since_id` should find again, ascending; None on a first load."""
    read_before = connection.execute(
        f"select exists (from {RAW}.sync_log where list = ? and complete)", [endpoint.name]
    ).fetchone()
    if not (read_before and read_before[0]):
        return None
    found: Any = connection.execute(
        f"select id from {RAW}.{endpoint.name} where _deleted_at is null and id > ? order by id", [since_id]
    ).fetchnumpy()["id"]
    return found
