"""One sync of Rivo's lists into a working copy of the warehouse, list by list."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from pipelines.errors import ApiError, ListError
from pipelines.guards import refuse_losses
from pipelines.history import keep_history
from pipelines.landing import Counts, Landing, drop_new_columns, load, mark_seen, quarantine
from pipelines.loading import drop_dlt_staging, quiet_dlt
from pipelines.rivo.client import Client
from pipelines.rivo.cursor import Row, read_list
from pipelines.rivo.endpoints import ENDPOINTS, Endpoint
from pipelines.settings import Settings
from pipelines.tables import ensure_tables, write_settings
from pipelines.warehouse import RAW, Build

FLOOR_DAYS = 180
"""How far back an open redemption or referral is still looked at between sweeps."""
_MOST_READ_APART = 40
"""So many rows set apart before the start are asked for one by one; more than that, and the start moves back."""


@dataclass(frozen=True)
class ListResult:
    """What became of one list in one sync: its row of `rivo_raw.sync_log`, and what only the summary tells."""

    name: str
    kind: str
    complete: bool
    observed_at: datetime
    requests: int
    counts: Counts
    seconds: float = 0.0
    error: str | None = None
    rows_total: int = 0
    new_columns: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class SyncOptions:
    """What to read: which lists (default all), whether completely, and where a shrinking list is accepted."""

    only: Collection[str] = ()
    full: bool = False
    allow_shrink: Collection[str] = ()
    progress: Callable[[str, int], None] = field(default=lambda _name, _rows: None)
    """Called with the list's name and the rows read so far."""
    notice: Callable[[str], None] = field(default=lambda _sentence: None)
    """Called with a sentence while the server makes the sync wait."""


def sync_lists(build: Build, settings: Settings, options: SyncOptions | None = None) -> Iterator[ListResult]:
    """Bring the raw tables of the working copy up to date, one list after the other.

    Yields:
        a result a list as it ends, also for one that failed (`complete` false, `error` a sentence):
        the others are read all the same.

    Raises:
        ApiError: nothing can be read at all (wrong key, no server), or the API's clock ran backwards.
    """
    options = options or SyncOptions()
    quiet_dlt()
    ensure_tables(build.connection)
    write_settings(build.connection, settings.timezone)
    client = Client(settings, options.notice)
    for endpoint in ENDPOINTS.values():
        if not options.only or endpoint.name in options.only:
            yield _sync_list(build, client, settings, endpoint, options)
    drop_dlt_staging(build)


def _sync_list(
    build: Build, client: Client, settings: Settings, endpoint: Endpoint, options: SyncOptions
) -> ListResult:
    started, requests = time.monotonic(), client.requests
    warnings: list[str] = []
    since_id = 0
    landing = None
    error = None
    try:
        if endpoint.reading == "cursor" and not options.full:
            observed_at = _observed_at(build.connection, client, endpoint)
            since_id = _start(build.connection, endpoint, observed_at, settings)
        apart = _set_apart_before(build.connection, endpoint, since_id)
        if len(apart) > _MOST_READ_APART:
            since_id, apart = apart[0] - 1, []
        known_ids = _known_ids(build.connection, endpoint, since_id)
        reading = read_list(client, endpoint, since_id, warnings.append, known_ids, apart)
        pages = _counted(reading, endpoint, options)
        first = next(pages, [])
        landing = Landing(build, endpoint, _observed_at(build.connection, client, endpoint))
        is_guarded = since_id == 0 and endpoint.name not in options.allow_shrink
        load(landing, itertools.chain([first], pages), refuse_losses if is_guarded else None)
        mark_seen(landing, complete=since_id == 0)
        quarantine(landing, since_id, apart)
        if endpoint.history:
            keep_history(build, endpoint, landing.observed_at)
    except ListError as caught:
        error = str(caught)
        if landing:
            drop_new_columns(landing)
        landing = None
    result = ListResult(
        name=endpoint.name,
        kind="incremental" if since_id else "full",
        complete=landing is not None,
        observed_at=client.observed_at or datetime.now(UTC),
        requests=client.requests - requests,
        seconds=round(time.monotonic() - started, 3),
        error=error,
        warnings=tuple(warnings),
        rows_total=_count(build.connection, endpoint, "_deleted_at is null"),
        counts=landing.counts if landing else Counts(),
        new_columns=tuple(landing.new_columns) if landing else (),
    )
    _log(build.connection, result)
    return result


def _observed_at(connection: duckdb.DuckDBPyConnection, client: Client, endpoint: Endpoint) -> datetime:
    """The sync's observation time; asks the API for one row where nothing has been asked yet.

    Raises:
        ApiError: it lies before what the warehouse holds, so that histories would run backwards.
    """
    if client.observed_at is None:
        client.get(endpoint.path, {"pagination[since_id]": 0, "pagination[limit]": 1}, endpoint.title)
    observed_at = client.observed_at or datetime.now(UTC)
    row = connection.execute(f"select max(observed_at) from {RAW}.sync_log where complete").fetchone()
    if row and row[0] and observed_at < row[0]:
        raise ApiError(
            f"The API's clock says {observed_at:%Y-%m-%d %H:%M:%S} UTC, but the warehouse holds a sync of "
            f"{row[0]:%Y-%m-%d %H:%M:%S} UTC: histories cannot run backwards. Run the sync again after that time, "
            "or, if this is another shop or a sandbox started anew, set RIVO_WAREHOUSE to another file. "
            "Nothing was changed."
        )
    return observed_at


def _counted(pages: Iterator[list[Row]], endpoint: Endpoint, options: SyncOptions) -> Iterator[list[Row]]:
    rows = 0
    for page in pages:
        rows += len(page)
        options.progress(endpoint.name, rows)
        yield page


def _start(
    connection: duckdb.DuckDBPyConnection, endpoint: Endpoint, observed_at: datetime, settings: Settings
) -> int:
    """The since_id from which a cursor list must be read: 0 when a complete sweep is due.

    That is just before the smallest id of the rows that can still change; what changed outside that window is
    caught by the next sweep.
    """
    swept = connection.execute(
        f"select max(observed_at) from {RAW}.sync_log where list = ? and complete and kind = 'full'",
        [endpoint.name],
    ).fetchone()
    if not swept or swept[0] is None or observed_at >= swept[0] + timedelta(days=settings.full_sweep_days):
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


def _count(connection: duckdb.DuckDBPyConnection, endpoint: Endpoint, condition: str) -> int:
    row = connection.execute(f"select count(*) from {RAW}.{endpoint.name} where {condition}").fetchone()
    return row[0] if row else 0


def _log(connection: duckdb.DuckDBPyConnection, result: ListResult) -> None:
    row = {
        "list": result.name,
        "observed_at": result.observed_at,
        "kind": result.kind,
        "complete": result.complete,
        "requests": result.requests,
        **asdict(result.counts),
        "seconds": result.seconds,
        "error": result.error,
    }
    connection.execute(
        f"insert into {RAW}.sync_log ({', '.join(row)}) values ({', '.join('?' for _ in row)})",
        list(row.values()),
    )
