"""How a read of a list begins: from which id, with what is known of it, and ahead of the lists before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from threading import Thread
from typing import Any

import duckdb

from pipelines.errors import ApiError, command
from pipelines.load.sweeps import last_sweep
from pipelines.rivo.client import Client
from pipelines.rivo.columns import Endpoint
from pipelines.rivo.decode import Page
from pipelines.rivo.paging import by_id, read_list
from pipelines.settings import Settings
from pipelines.sql import exists, scalar
from pipelines.warehouse import RAW

FLOOR_DAYS = 180
"""How long an open redemption or referral is read again between full sweeps."""
_MOST_QUARANTINED_IDS = 40
"""Number of quarantined rows before the start that are requested one by one; with more, the start moves back."""
_PAGES_AHEAD = 16
"""Number of pages of a later list that are fetched while an earlier one is loaded; they wait in memory."""


class _FetchedPages:
    """Pages of which the first ones are fetched by a thread until the consumer takes them; errors come with them."""

    def __init__(self, pages: Iterator[Page]) -> None:
        """`pages` is a generator."""
        self._pages = pages
        self._fetched: list[Page] = []
        self._error: BaseException | None = None
        self._taken = False
        self._abandoned = False
        self.is_whole = False
        """Whether all pages have been fetched."""
        self._thread = Thread(target=self._fetch, daemon=True)
        self._thread.start()

    def _fetch(self) -> None:
        try:
            for page in islice(self._pages, _PAGES_AHEAD):
                self._fetched.append(page)
                if self._taken:
                    break
            else:
                self.is_whole = len(self._fetched) < _PAGES_AHEAD
        except BaseException as error:
            self._error = error
        if self._abandoned:
            self._pages.close()  # type: ignore[attr-defined]

    def __iter__(self) -> Iterator[Page]:
        """Yield all pages, once."""
        self._taken = True
        self._thread.join()
        while self._fetched:
            yield self._fetched.pop(0)
        if self._error:
            raise self._error
        yield from self._pages

    def close(self) -> None:
        """Request no more pages, without waiting for one that is being retried."""
        self._taken = self._abandoned = True
        if not self._thread.is_alive():
            # An interrupt may come while the generator runs: then it cannot be closed, and ends with the interrupt.
            with suppress(ValueError):
                self._pages.close()  # type: ignore[attr-defined]


@dataclass
class ListRead:
    """One read of a list: the rows with ids above `since_id`, and the rows with one of the `quarantined_ids`."""

    endpoint: Endpoint
    since_id: int
    quarantined_ids: Sequence[int]
    warnings: list[str]
    """Sentences on what was odd, added while pages are taken."""
    pages: Iterator[Page] = field(default_factory=lambda: iter(()))

    @property
    def is_complete(self) -> bool:
        """Whether the list is read from its first row."""
        return self.since_id == 0


class ReadAhead:
    """Reads lists one after the other, and fetches the first pages of later ones while an earlier one is loaded.

    Iterate over it for the reads in order. It advances only when a page is taken; short lists are fetched completely
    before their turn, so that requests go on while a long list is loaded.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        client: Client,
        settings: Settings,
        endpoints: Iterable[Endpoint],
        *,
        full: bool,
    ) -> None:
        """`full` reads every list from its first row, whether that is due or not."""
        self._connection = connection
        self._client = client
        self._settings = settings
        self._waiting = list(endpoints)
        self._full = full
        self._begun: list[tuple[ListRead, _FetchedPages]] = []

    def __iter__(self) -> Iterator[ListRead]:
        """Yield the read of each list.

        Raises:
            ApiError: no list can be read. A list that cannot be read raises when its pages are taken.
        """
        try:
            while self._begun or self._waiting:
                self._begin_next()
                read, fetched = self._begun.pop(0)
                read.pages = self._pages(fetched)
                try:
                    yield read
                finally:
                    fetched.close()
        finally:
            for _, fetched in self._begun:
                fetched.close()

    def completely(self, endpoint: Endpoint) -> ListRead:
        """Begin a list again from its first row, out of turn."""
        read, fetched = self._begin(endpoint, full=True)
        read.pages = iter(fetched)
        return read

    def _pages(self, fetched: _FetchedPages) -> Iterator[Page]:
        for page in fetched:
            yield page
            self._begin_next()

    def _begin_next(self) -> None:
        if self._waiting and all(fetched.is_whole for _, fetched in self._begun):
            self._begun.append(self._begin(self._waiting.pop(0), full=self._full))

    def _begin(self, endpoint: Endpoint, *, full: bool) -> tuple[ListRead, _FetchedPages]:
        read = ListRead(endpoint, 0, [], [])
        try:
            if endpoint.reading == "cursor" and not full:
                observed_at = observation_time(self._connection, self._client, endpoint)
                read.since_id = _start(self._connection, endpoint, observed_at, self._settings)
            read.quarantined_ids = _quarantined_before(self._connection, endpoint, read.since_id)
            if len(read.quarantined_ids) > _MOST_QUARANTINED_IDS:
                read.since_id, read.quarantined_ids = read.quarantined_ids[0] - 1, []
            known_ids = _known_ids(self._connection, endpoint, read.since_id)
            pages = read_list(
                self._client, endpoint, read.since_id, read.warnings.append, known_ids, read.quarantined_ids
            )
        except Exception as error:
            # It belongs to this list, whose turn comes later.
            pages = _raising(error)
        return read, _FetchedPages(pages)


def _raising(error: Exception) -> Iterator[Page]:
    raise error
    yield


def api_time(client: Client, endpoint: Endpoint) -> datetime:
    """Return the time of the API's first answer; requests one row where nothing has been requested yet."""
    if client.observed_at is None:
        client.get(endpoint.path, by_id(0, 1), endpoint.title)
    return client.observed_at or datetime.now(UTC)


def observation_time(connection: duckdb.DuckDBPyConnection, client: Client, endpoint: Endpoint) -> datetime:
    """Return the sync's observation time, by the API's clock.

    Raises:
        ApiError: it is before the last sync in the warehouse, so that histories would run backwards.
    """
    observed_at = api_time(client, endpoint)
    last = scalar(connection, f"select max(observed_at) from {RAW}.sync_log where complete")
    if last and observed_at < last:
        raise ApiError(
            f"The API's clock says {observed_at:%Y-%m-%d %H:%M:%S} UTC, but the warehouse holds a sync of "
            f"{last:%Y-%m-%d %H:%M:%S} UTC: histories cannot run backwards. Nothing was changed. "
            "If the clock is wrong now, run the sync again when it is right. If it was ahead during that sync, run "
            f"`{command()} sync --rewind` once: what was observed then is dated to now, and no history is "
            "lost. If this is another shop, or a restarted sandbox, set RIVO_WAREHOUSE to another file."
        )
    return observed_at


def _start(
    connection: duckdb.DuckDBPyConnection, endpoint: Endpoint, observed_at: datetime, settings: Settings
) -> int:
    """Return the since_id from which a cursor list must be read: 0 when a full sweep is due.

    Otherwise it is just before the smallest id of the rows that can still change; the next full sweep finds what
    changed outside that window.
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


def _quarantined_before(
    connection: duckdb.DuckDBPyConnection, endpoint: Endpoint, since_id: int
) -> list[int]:
    """Return the ids of the quarantined rows that a read after `since_id` would not find, ascending."""
    rows = connection.execute(
        f"select distinct id from {RAW}._quarantine where list = ? and id between 1 and ? order by id",
        [endpoint.name, since_id],
    ).fetchall()
    return [row_id for (row_id,) in rows]


def _known_ids(
    connection: duckdb.DuckDBPyConnection, endpoint: Endpoint, since_id: int
) -> Sequence[int] | None:
    """Return the ids of the rows that a read after `since_id` should find again, ascending; None on a first load."""
    if not exists(connection, f"from {RAW}.sync_log where list = ? and complete", [endpoint.name]):
        return None
    found: Any = connection.execute(
        f"select id from {RAW}.{endpoint.name} where _deleted_at is null and id > ? order by id", [since_id]
    ).fetchnumpy()["id"]
    return found
