"""One sync of Rivo's lists into a working copy of the warehouse, list by list."""

from __future__ import annotations

import itertools
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb

from pipelines.errors import ListError, RivoError, command
from pipelines.load.guards import LostRowsError, refuse_losses, refuse_other_shop, refuse_unadopted
from pipelines.load.histories import keep_history
from pipelines.load.landing import Counts, Landing
from pipelines.load.merge import configure_dlt, drop_dlt_staging
from pipelines.load.read_ahead import ListRead, ReadAhead, api_time, observation_time
from pipelines.load.rewind import rewind
from pipelines.privacy.redaction import Redactor, apply_setting
from pipelines.rivo.client import Client
from pipelines.rivo.columns import Endpoint
from pipelines.rivo.decode import Page
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import Settings
from pipelines.sql import scalar
from pipelines.warehouse import RAW, Build
from pipelines.warehouse.raw_tables import history_name, live_rows


@dataclass(frozen=True)
class ListResult:
    """How the read of one list ended: its row of `rivo_raw.sync_log`, and figures for the summary."""

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
    """What to read: which lists (default all), whether completely, and for which lists a loss of rows is accepted."""

    only: Collection[str] = ()
    full: bool = False
    allow_shrink: Collection[str] = ()
    """Lists that may lose rows. One that does is read completely, so that the lost rows are marked as deleted."""
    rewind: bool = False
    """Whether syncs dated later than the API's clock count as of now: it was ahead when they were made."""
    progress: Callable[[str, int], None] = field(default=lambda _name, _rows: None)
    """Called with the list's name and the number of rows read so far."""
    notice: Callable[[str], None] = field(default=lambda _sentence: None)
    """Called with a sentence while the server makes the sync wait."""


def sync_lists(build: Build, settings: Settings, options: SyncOptions | None = None) -> Iterator[ListResult]:
    """Bring the raw tables of the working copy up to date, one list after the other. `ensure_tables` comes first.

    Yields:
        a result for each list when it ends, also for one that failed (`complete` false, `error` a sentence):
        the others are read all the same.

    Raises:
        ApiError: nothing can be read at all (wrong key, no server), or the API's clock is earlier than before.
    """
    options = options or SyncOptions()
    configure_dlt()
    redactor = Redactor(build.connection, settings)
    if changed := apply_setting(build, settings):
        options.notice(changed)
    client = Client.of_settings(settings, options.notice)
    if options.rewind:
        _rewind(build.connection, client, options)
    refuse_unadopted(settings, client)
    if "customers" not in options.allow_shrink:
        refuse_other_shop(build.connection, client)
    without_clock = _after_the_last(build.connection)
    wanted = [e for e in ENDPOINTS.values() if not options.only or e.name in options.only]
    reading = ReadAhead(build.connection, client, settings, wanted, full=options.full)
    for read in reading:
        started = time.monotonic()
        try:
            landing, error = _land(build, client, read, options, redactor)
        except LostRowsError:
            # The loss is accepted. Rows before the window may be gone as well.
            read = reading.completely(read.endpoint)
            landing, error = _land(build, client, read, options, redactor)
        result = _result(
            build.connection,
            client,
            read,
            landing,
            error,
            observed_at=client.observed_at or without_clock,
            seconds=time.monotonic() - started,
        )
        _log(build.connection, result)
        yield result
    drop_dlt_staging(build)


def _rewind(connection: duckdb.DuckDBPyConnection, client: Client, options: SyncOptions) -> None:
    now = api_time(client, next(iter(ENDPOINTS.values())))
    later = rewind(connection, now)
    options.notice(
        f"Results of syncs dated after {now:%Y-%m-%d %H:%M:%S} UTC: {later}. They now count as observed at that time."
    )


def _land(
    build: Build, client: Client, read: ListRead, options: SyncOptions, redactor: Redactor
) -> tuple[Landing | None, str | None]:
    """Load one list: its landing, or the sentence that it failed with.

    Raises:
        LostRowsError: known rows are gone from the window that was read, and the options accept that.
    """
    endpoint = read.endpoint
    landing = None
    try:
        pages = _with_progress(read, options)
        # The first response carries the sync's observation time.
        first = next(pages, Page([], []))
        observed_at = observation_time(build.connection, client, endpoint)
        landing = Landing(build, endpoint, observed_at, redactor.redact)
        is_guarded = not (read.is_complete and endpoint.name in options.allow_shrink)
        check = partial(refuse_losses, since_id=read.since_id) if is_guarded else None
        landing.load(itertools.chain([first], pages), check)
    except Exception as error:
        sentence = _sentence(build, endpoint, error)
        if sentence is None:
            raise
        if landing:
            landing.give_up()
        if isinstance(error, LostRowsError) and endpoint.name in options.allow_shrink:
            raise
        return None, sentence
    landing.mark_seen(complete=read.is_complete)
    landing.quarantine(read.since_id, read.quarantined_ids)
    if endpoint.history:
        keep_history(build, endpoint, observed_at)
    return landing, None


def _sentence(build: Build, endpoint: Endpoint, error: Exception) -> str | None:
    """Return why a list failed; None for an error that ends the whole sync, such as a full disk or a refused key."""
    if isinstance(error, ListError):
        return str(error)
    if isinstance(error, RivoError | MemoryError) or build.is_storage_error(error):
        return None
    # Not the error's text, which can quote a customer.
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{endpoint.title} could not be loaded: {type(error).__name__} in {Path(place.filename).name}, line "
        f"{place.lineno}. This release did not expect what Rivo returned. No row of this list was loaded; the other "
        f"lists are unaffected. Please report it, with the file that `{command()} doctor --report FILE` writes."
    )


def _with_progress(read: ListRead, options: SyncOptions) -> Iterator[Page]:
    rows = 0
    for page in read.pages:
        rows += len(page)
        options.progress(read.endpoint.name, rows)
        yield page


def _result(
    connection: duckdb.DuckDBPyConnection,
    client: Client,
    read: ListRead,
    landing: Landing | None,
    error: str | None,
    *,
    observed_at: datetime,
    seconds: float,
) -> ListResult:
    endpoint = read.endpoint
    history = f"select count(*) from {RAW}.{history_name(endpoint)}"
    return ListResult(
        name=endpoint.name,
        kind="full" if read.is_complete else "incremental",
        complete=landing is not None,
        observed_at=observed_at,
        requests=client.requests_of[endpoint.title],
        counts=landing.counts if landing else Counts(),
        seconds=round(seconds, 3),
        error=error,
        rows_total=live_rows(connection, endpoint),
        history_rows=scalar(connection, history) if endpoint.history else 0,
        largest_id=scalar(connection, f"select coalesce(max(id), 0) from {RAW}.{endpoint.name}"),
        new_columns=tuple(landing.new_columns) if landing else (),
        warnings=tuple(read.warnings),
    )


def _after_the_last(connection: duckdb.DuckDBPyConnection) -> datetime:
    """Return this machine's time, but later than the log's last: a failure must show as the last that happened."""
    now = datetime.now(UTC).replace(microsecond=0)
    last = scalar(connection, f"select max(observed_at) from {RAW}.sync_log")
    return max(now, last.astimezone(UTC) + timedelta(seconds=1)) if last else now


def _log(connection: duckdb.DuckDBPyConnection, result: ListResult) -> None:
    row = {
        "list": result.name,
        "observed_at": result.observed_at,
        "log_position": scalar(connection, f"select coalesce(max(log_position), 0) + 1 from {RAW}.sync_log"),
        "kind": result.kind,
        "complete": result.complete,
        "requests": result.requests,
        **asdict(result.counts),
        "seconds": result.seconds,
        "error": result.error,
    }
    # Failures are dated by this machine's clock, which may be ahead of the API's; they count as before this row.
    connection.execute(
        f"update {RAW}.sync_log set observed_at = $now - interval 1 second where not complete and observed_at > $now",
        {"now": result.observed_at},
    )
    connection.execute(
        f"insert into {RAW}.sync_log ({', '.join(row)}) values ({', '.join('?' for _ in row)})",
        list(row.values()),
    )
