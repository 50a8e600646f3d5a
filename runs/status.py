"""State of a warehouse: last sync, freshness, trust, quarantine and the next sync, read from the warehouse itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import duckdb

from pipelines.actions.outbox_file import look_into_outbox
from pipelines.errors import NoWarehouse, WarehouseError, command
from pipelines.load.sweeps import last_sweep
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import Settings
from pipelines.targets.last_publications import LastPublication, read_last_publications
from pipelines.warehouse import RAW, Warehouse
from pipelines.webhooks.deliveries import last_arrival
from runs.publishing import known_targets, unset_target
from runs.shared_state import SharedState, shared_state
from runs.shop import Shop, shop_to_read

GRACE = timedelta(hours=2)
"""Time for a sync to run, or to be retried, before the warehouse counts as stale."""

# A file published by an older release has no column log_position.
NEWEST_READS = f"""
from (from {RAW}.sync_log union all by name select null::bigint as log_position where false)
where observed_at = (select max(observed_at) from {RAW}.sync_log)
qualify row_number() over (partition by list order by log_position desc nulls last) = 1
"""
"""The rows of `sync_log` written by the last sync. Of two syncs within one second, those of the second one."""


class Schedule(Protocol):
    """The times of the daily sync. Dagster's daemon decides them, and this package knows no Dagster."""

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time after a moment."""

    def last_before(self, moment: datetime) -> datetime:
        """Return the last time before a moment."""


@dataclass(frozen=True)
class LastSync:
    """Totals of the last sync, from the sync log."""

    observed_at: datetime
    kind: str
    """'full' if every list was read completely, else 'incremental'."""
    lists_read: int
    lists_failed: int
    requests: int
    rows_read: int
    rows_new: int
    rows_changed: int
    rows_deleted: int
    seconds: float


@dataclass(frozen=True)
class Status:
    """State of a warehouse, as `rivo status` shows it."""

    warehouse: Warehouse
    is_demo: bool
    size_bytes: int
    is_running: bool
    """Whether a sync or a build is running on it now."""
    last_sync: LastSync
    problems: tuple[str, ...]
    """What failed in the last sync, and why its result is not published."""
    oldest_list: str
    oldest_read_at: datetime | None
    """When the list whose last complete read is the oldest was read."""
    is_stale: bool
    trust: tuple[str, ...] | None
    """Why some figures cannot be trusted; None before any model has been built."""
    quarantine: dict[str, int]
    """Number of quarantined rows by list."""
    actions: dict[str, int]
    """Number of actions by state, as of now; empty if none was ever planned."""
    next_sync_at: datetime
    next_full_sweep_at: datetime
    sync_cron: str
    timezone: str
    targets: dict[str, LastPublication]
    """The targets that follow each sync, and those that got a copy in the past."""
    last_delivery_at: datetime | None
    """When the last delivery of a webhook arrived; None without webhooks."""
    shared_state: SharedState | None
    """The state that machines share; None without RIVO_STATE."""


def look(settings: Settings, schedule: Schedule, now: datetime | None = None) -> Status:
    """Read the state of the warehouse at `now` (default: this machine's clock).

    Raises:
        NoWarehouse: nothing has been synced yet.
    """
    now = now or datetime.now(UTC)
    shop = shop_to_read(settings)
    settings = shop.settings
    published = shop.warehouse
    base = published.base
    with ExitStack() as stack:
        shown = stack.enter_context(published.read())
        findings = _column(
            shown, "select if(status = 'attention', finding, null) from reports.rpt_data_trust"
        )
        connection = shown if base == published else stack.enter_context(base.read())
        if not _is_synced(connection):
            raise NoWarehouse(
                f"Nothing has been synced into {published} yet. Run `make sync` first, or check RIVO_WAREHOUSE."
            )
        failures = _failures(connection)
        last_sync = _last_sync(connection)
        read_at = _last_reads(connection)
        quarantine = dict(
            connection.execute(
                f"select list, count(*) from {RAW}._quarantine group by all order by all"
            ).fetchall()
        )
        sweeps = [last_sweep(connection, each) for each in ENDPOINTS.values() if each.reading == "cursor"]
        stamps = _publication(shown)
    targets = {name: LastPublication() for name in known_targets(shop)} | read_last_publications(published)
    oldest = min(ENDPOINTS, key=lambda name: (name in read_at, read_at.get(name)))
    next_sync_at = schedule.next_after(now)
    sweeps_due = [swept + timedelta(days=settings.full_sweep_days) if swept else now for swept in sweeps]
    return Status(
        warehouse=published,
        is_demo=shop.is_demo,
        size_bytes=published.size_bytes,
        is_running=published.is_being_built,
        last_sync=last_sync,
        problems=(
            *failures,
            *_publishing_problems(published, last_sync),
            *_target_problems(shop, targets, *stamps),
        ),
        oldest_list=oldest,
        oldest_read_at=read_at.get(oldest),
        is_stale=_is_stale(schedule, shop, read_at.get(oldest), next_sync_at, now),
        trust=tuple(filter(None, findings)) if findings else None,
        quarantine=quarantine,
        actions=_actions(published),
        next_sync_at=next_sync_at,
        next_full_sweep_at=schedule.next_after(max(min(sweeps_due), now)),
        sync_cron=settings.sync_cron,
        timezone=settings.timezone,
        targets=targets,
        last_delivery_at=_last_delivery(published),
        shared_state=shared_state(published),
    )


def _last_delivery(warehouse: Warehouse) -> datetime | None:
    # A user who may only read the warehouse cannot open the journal. One that is damaged makes the next sync fail.
    with suppress(WarehouseError):
        return last_arrival(warehouse)
    return None


def _actions(warehouse: Warehouse) -> dict[str, int]:
    if not warehouse.outbox.exists():
        return {}
    counts: Counter[str] = Counter()
    # A user who may read the warehouse may not be allowed to write beside it, as opening an outbox does.
    with suppress(WarehouseError), look_into_outbox(warehouse.outbox) as outbox:
        for (_, state), number in outbox.count().items():
            counts[state] += number
    return dict(sorted(counts.items()))


def _failures(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the errors of lists, models and blocking checks in the last sync."""
    return [
        *_column(connection, f"select error from ({NEWEST_READS}) where error is not null"),
        *_column(
            connection,
            "select table_schema || '.' || table_name || ': ' || coalesce(message, status) "
            "from meta.build_results where status in ('error', 'failed')",
        ),
    ]


def _publishing_problems(published: Warehouse, last_sync: LastSync) -> list[str]:
    """Return why readers do not see the result of the last sync, or see what another program wrote."""
    problems = []
    if published.base != published and not last_sync.lists_read:
        problems.append(f"{published} was not replaced, because no list could be read.")
    elif published.base != published:
        problems.append(
            f"{published} was not replaced, because a model or a blocking check failed. What was read is kept and "
            "will be published by the next run that passes."
        )
    if published.has_foreign_writes:
        problems.append(
            f"Another program is writing to {published}, or was when it crashed. Readers see its changes until the "
            "next sync. Close that program, and have it open the warehouse read-only."
        )
    return problems


def _publication(connection: duckdb.DuckDBPyConnection) -> tuple[datetime | None, datetime | None]:
    """Return when the file was published, and when personal data was last deleted from it."""
    with suppress(duckdb.CatalogException):
        rows = connection.execute(f"select published_at, erased_at from {RAW}._publication").fetchall()
        return rows[0] if rows else (None, None)
    return None, None


def _target_problems(
    shop: Shop,
    targets: Mapping[str, LastPublication],
    published_at: datetime | None,
    erased_at: datetime | None,
) -> list[str]:
    """Return why targets do not have what readers of the file see, or may have a person who was erased."""
    problems = []
    followed = {target.name for target in shop.settings.to_publish}
    for name, last in targets.items():
        if name not in shop.settings.targets:
            if last.is_before(erased_at):
                problems.append(unset_target(name, last))
            continue
        if last.problem:
            problems.append(last.problem)
        elif name in followed and last.version != published_at and not shop.warehouse.is_being_published:
            problems.append(
                f"The target {name} does not have the newest publication of the warehouse. Run "
                f"`{command()} publish {name}`."
            )
        if last.observed_at and last.is_before(erased_at):
            problems.append(
                f"The target {name} keeps older versions of the data, which have a person who was erased. Run "
                f"`{command()} publish {name}`."
            )
    return problems


def _is_stale(
    schedule: Schedule, shop: Shop, read_at: datetime | None, next_sync_at: datetime, now: datetime
) -> bool:
    """Return whether the oldest data is older than the schedule allows, or dated after the next sync."""
    # A demo's clock is simulated.
    known_at = now if shop.is_demo else read_at
    if known_at is None or known_at < schedule.last_before(now - GRACE):
        return True
    return not shop.is_demo and known_at > next_sync_at


def _is_synced(connection: duckdb.DuckDBPyConnection) -> bool:
    try:
        return bool(connection.execute(f"select exists (from {RAW}.sync_log)").fetchall()[0][0])
    except duckdb.CatalogException:
        return False


def _column(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    try:
        return [value for (value,) in connection.execute(sql).fetchall()]
    except duckdb.CatalogException:
        # No model has been built yet.
        return []


def _last_sync(connection: duckdb.DuckDBPyConnection) -> LastSync:
    row = connection.execute(
        f"""
        select
            max(observed_at) as observed_at,
            if(bool_and(kind = 'full'), 'full', 'incremental') as kind,
            count(*) filter (where complete) as lists_read,
            count(*) filter (where not complete) as lists_failed,
            sum(requests)::bigint as requests,
            sum(rows_read)::bigint as rows_read,
            sum(rows_new)::bigint as rows_new,
            sum(rows_changed)::bigint as rows_changed,
            sum(rows_deleted)::bigint as rows_deleted,
            sum(seconds) as seconds
        from ({NEWEST_READS})
        """
    ).fetchone()
    assert row is not None
    return LastSync(*row)


def _last_reads(connection: duckdb.DuckDBPyConnection) -> dict[str, datetime]:
    return dict(
        connection.execute(
            f"select list, max(observed_at) from {RAW}.sync_log where complete group by list"
        ).fetchall()
    )
