"""One sync of Rivo's lists into a working copy of the warehouse, list by list."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

import duckdb

from pipelines.errors import ListError
from pipelines.load.guards import refuse_losses
from pipelines.load.histories import keep_history
from pipelines.load.landing import Counts, Landing, drop_new_columns, load, mark_seen, quarantine
from pipelines.load.merge import drop_dlt_staging, quiet_dlt
from pipelines.load.reading import Reading, api_time, begin, observation_time
from pipelines.load.rewind import rewind
from pipelines.privacy.incoming import Incoming, apply_setting
from pipelines.rivo.client import Client
from pipelines.rivo.columns import Endpoint
from pipelines.rivo.decode import Row
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import Settings
from pipelines.warehouse import RAW, Build
from pipelines.warehouse.raw_tables import ensure_tables, history_name, live_rows, write_settings


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
    history_rows: int = 0
    """Versions in the list's history, where it has one."""
    largest_id: int = 0
    """The watermark: new rows of the list have larger ids."""
    new_columns: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class SyncOptions:
    """What to read: which lists (default all), whether completely, and where a shrinking list is accepted."""

    only: Collection[str] = ()
    full: bool = False
    allow_shrink: Collection[str] = ()
    rewind: bool = False
    """Whether syncs dated later than the API's clock count as of now: it ran ahead when they were made."""
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
    incoming = Incoming(build.connection, settings)
    said = apply_setting(build, settings)
    if said:
        options.notice(said)
    client = Client(settings, options.notice)
    if options.rewind:
        now = api_time(client, next(iter(ENDPOINTS.values())))
        later = rewind(build.connection, now)
        options.notice(
            f"{later} results of syncs were dated after {now:%Y-%m-%d %H:%M:%S} UTC; they count as of then."
        )
    without_clock = _after_the_last(build.connection)
    wanted = [e for e in ENDPOINTS.values() if not options.only or e.name in options.only]
    begun: list[Reading] = []

    def begin_next() -> None:
        # Short lists wait whole for their turn, so that the requests go on while a long one lands.
        if wanted and all(reading.pages.whole for reading in begun):
            begun.append(begin(build.connection, client, settings, wanted.pop(0), full=options.full))

    try:
        while begun or wanted:
            if not begun:
                begin_next()
            yield _land(build, client, begun.pop(0), options, begin_next, incoming, without_clock)
    finally:
        for reading in begun:
            reading.pages.close()
    drop_dlt_staging(build)


def _land(
    build: Build,
    client: Client,
    reading: Reading,
    options: SyncOptions,
    begin_next: Callable[[], None],
    incoming: Incoming,
    without_clock: datetime,
) -> ListResult:
    """Bring one list's rows into the warehouse; the next ones begin to be read meanwhile.

    `without_clock` is the time of a failure before the API has told its own.
    """
    started = time.monotonic()
    endpoint, since_id = reading.endpoint, reading.since_id
    landing = None
    error = None
    try:
        pages = _counted(iter(reading.pages), endpoint, options, begin_next)
        first = next(pages, [])
        observed_at = observation_time(build.connection, client, endpoint)
        landing = Landing(build, endpoint, observed_at, incoming.treat)
        begin_next()
        is_guarded = since_id == 0 and endpoint.name not in options.allow_shrink
        load(landing, itertools.chain([first], pages), refuse_losses if is_guarded else None)
        mark_seen(landing, complete=since_id == 0)
        quarantine(landing, since_id, reading.apart)
        if endpoint.history:
            keep_history(build, endpoint, landing.observed_at)
    except ListError as caught:
        error = str(caught)
        if landing:
            drop_new_columns(landing)
        landing = None
    finally:
        reading.pages.close()
    result = ListResult(
        name=endpoint.name,
        kind="incremental" if since_id else "full",
        complete=landing is not None,
        observed_at=client.observed_at or without_clock,
        requests=client.requests_of[endpoint.title],
        seconds=round(time.monotonic() - started, 3),
        error=error,
        warnings=tuple(reading.warnings),
        rows_total=live_rows(build.connection, endpoint),
        history_rows=_number(build.connection, f"count(*) from {RAW}.{history_name(endpoint)}")
        if endpoint.history
        else 0,
        largest_id=_number(build.connection, f"coalesce(max(id), 0) from {RAW}.{endpoint.name}"),
        counts=landing.counts if landing else Counts(),
        new_columns=tuple(landing.new_columns) if landing else (),
    )
    _log(build.connection, result)
    return result


def _after_the_last(connection: duckdb.DuckDBPyConnection) -> datetime:
    """What this machine's clock says, but later than the log: a failure must show as the last that happened."""
    now = datetime.now(UTC).replace(microsecond=0)
    [[last]] = connection.execute(f"select max(observed_at) from {RAW}.sync_log").fetchall()
    return max(now, last.astimezone(UTC) + timedelta(seconds=1)) if last else now


def _number(connection: duckdb.DuckDBPyConnection, what: str) -> int:
    [[number]] = connection.execute(f"select {what}").fetchall()
    return int(number)


def _counted(
    pages: Iterator[list[Row]], endpoint: Endpoint, options: SyncOptions, begin_next: Callable[[], None]
) -> Iterator[list[Row]]:
    rows = 0
    for page in pages:
        rows += len(page)
        options.progress(endpoint.name, rows)
        yield page
        begin_next()


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
    # Failures that this machine's clock dated, which may run ahead, come before what the API's clock dates now.
    connection.execute(
        f"update {RAW}.sync_log set observed_at = $now - interval 1 second where not complete and observed_at > $now",
        {"now": result.observed_at},
    )
    connection.execute(
        f"insert into {RAW}.sync_log ({', '.join(row)}) values ({', '.join('?' for _ in row)})",
        list(row.values()),
    )
