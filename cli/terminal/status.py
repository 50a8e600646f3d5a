"""`rivo status`: how the warehouse is, read from the warehouse itself."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
from croniter import croniter
from rich.console import Console
from rich.markup import escape

from cli import exits
from cli.terminal.tables import counted, short, terminal
from pipelines.errors import NoWarehouse, command
from pipelines.load.read_ahead import last_sweep
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import Settings
from pipelines.warehouse import RAW, Warehouse
from runs.shop import shop_to_read

GRACE = timedelta(hours=2)
"""A sync may take, or be retried, for so long after its time before the warehouse counts as stale."""


_NEWEST = f"""
from {RAW}.sync_log
where observed_at = (select max(observed_at) from {RAW}.sync_log)
qualify row_number() over (partition by list order by rowid desc) = 1
"""
"""The log's rows of the newest sync; of two within a second those of the second one."""


@dataclass(frozen=True)
class LastSync:
    """What the log of syncs says of the newest one."""

    observed_at: datetime
    kind: str
    """'full' where every list was read whole, else 'incremental'."""
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
    """All that `rivo status` tells; `document` is its JSON."""

    warehouse: Warehouse
    is_demo: bool
    size_bytes: int
    is_running: bool
    """A sync or a build works on it right now."""
    last_sync: LastSync
    problems: tuple[str, ...]
    """What failed in the last sync."""
    oldest_list: str
    oldest_read_at: datetime | None
    """When the list that waits longest was last read completely."""
    is_stale: bool
    trust: tuple[str, ...] | None
    """Why not every figure can be trusted; None where no model has been built yet."""
    quarantine: dict[str, int]
    """Rows that could not be loaded as they came, by list."""
    next_sync_at: datetime
    next_full_sweep_at: datetime
    sync_cron: str
    timezone: str

    @property
    def exit_code(self) -> int:
        """Failed outweighs stale."""
        if self.problems:
            return exits.FAILED
        return exits.STALE if self.is_stale else exits.DONE

    def document(self) -> dict[str, Any]:
        """The fields by name; times in UTC."""
        state = {exits.DONE: "ok", exits.FAILED: "failed", exits.STALE: "stale"}[self.exit_code]
        return {"state": state, "exit_code": self.exit_code, **asdict(self), "warehouse": str(self.warehouse)}


def look(settings: Settings, now: datetime | None = None) -> Status:
    """Read how the warehouse is at `now` (default: this machine's clock).

    Raises:
        NoWarehouse: nothing has been synced yet.
    """
    now = now or datetime.now(UTC)
    where = shop_to_read(settings)
    published = where.warehouse
    newest = published.base
    with ExitStack() as stack:
        shown = stack.enter_context(published.read())
        findings = _column(
            shown, "select if(status = 'attention', finding, null) from reports.rpt_data_trust"
        )
        connection = shown if newest == published else stack.enter_context(newest.read())
        if not _is_synced(connection):
            raise NoWarehouse(
                f"Nothing was ever synced into {published}. Run `make sync` first, or check RIVO_WAREHOUSE."
            )
        problems = [
            *_column(connection, f"select error from ({_NEWEST}) where error is not null"),
            *_column(
                connection,
                "select table_schema || '.' || table_name || ': ' || coalesce(message, status) "
                "from meta.build_results where status in ('error', 'failed')",
            ),
        ]
        last_sync = _last_sync(connection)
        read_at = _last_reads(connection)
        quarantine = dict(
            connection.execute(
                f"select list, count(*) from {RAW}._quarantine group by all order by all"
            ).fetchall()
        )
        sweeps = [last_sweep(connection, each) for each in ENDPOINTS.values() if each.reading == "cursor"]
    if newest != published and not last_sync.lists_read:
        problems.append(f"{short(published.path)} was left as it was, because no list could be read.")
    elif newest != published:
        problems.append(
            f"{short(published.path)} was left as it was, because a model or a blocking check failed. What was read is "
            "kept and will be published by the next run that passes."
        )
    if published.has_foreign_writes:
        problems.append(
            f"Another program writes into {short(published.path)}, or did so when it died, and what it wrote is mixed "
            "into what readers see, until the next sync. Close it, and open the warehouse read-only."
        )
    oldest = min(ENDPOINTS, key=lambda name: (name in read_at, read_at.get(name)))
    # A demo's clock is simulated.
    known_at = now if where.is_demo else read_at.get(oldest)
    next_sync_at = _tick(settings, now, "get_next")
    sweeps_due = [swept + timedelta(days=settings.full_sweep_days) if swept else now for swept in sweeps]
    return Status(
        warehouse=published,
        is_demo=where.is_demo,
        size_bytes=published.size_bytes,
        is_running=published.is_being_built,
        last_sync=last_sync,
        problems=tuple(problems),
        oldest_list=oldest,
        oldest_read_at=read_at.get(oldest),
        is_stale=known_at is None
        or known_at < _tick(settings, now - GRACE, "get_prev")
        or (not where.is_demo and known_at > next_sync_at),
        trust=tuple(filter(None, findings)) if findings else None,
        quarantine=quarantine,
        next_sync_at=next_sync_at,
        next_full_sweep_at=_tick(settings, max(min(sweeps_due), now), "get_next"),
        sync_cron=settings.sync_cron,
        timezone=settings.timezone,
    )


def _is_synced(connection: duckdb.DuckDBPyConnection) -> bool:
    try:
        return bool(connection.execute(f"select exists (from {RAW}.sync_log)").fetchall()[0][0])
    except duckdb.CatalogException:
        return False


def _tick(settings: Settings, moment: datetime, direction: str) -> datetime:
    """The schedule's time before or after a moment."""
    local = croniter(settings.sync_cron, moment.astimezone(ZoneInfo(settings.timezone)))
    found: datetime = getattr(local, direction)(datetime)
    return found.astimezone(UTC)


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
        from ({_NEWEST})
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


def show(status: Status, *, as_json: bool) -> None:
    """Print it for a person, or as one JSON document."""
    if as_json:
        print(json.dumps(status.document(), indent=2, ensure_ascii=False, default=_plain))
        return
    console = terminal()
    console.soft_wrap = True
    for title, text, colour in _lines(status):
        _print(console, title, text, colour)


def _lines(status: Status) -> list[tuple[str, str, str]]:
    demo = " (a demo with simulated data)" if status.is_demo else ""
    last = status.last_sync
    read = f"{last.lists_read} of {counted(last.lists_read + last.lists_failed, 'list')}"
    lines = [
        ("Warehouse", f"{short(status.warehouse.path)}{demo}, {status.size_bytes / 1e6:.1f} MB", ""),
        (
            "Last sync",
            f"{_when(last.observed_at)}, {last.kind}: {read}, {last.rows_read:,} rows read, {last.rows_new:,} new, "
            f"{last.rows_changed:,} changed, {last.rows_deleted:,} deleted, {last.requests:,} requests",
            "",
        ),
    ]
    if status.is_running:
        lines.append(("Now", "a sync or a build is at work", ""))
    lines += [("Problem", problem, "red") for problem in status.problems]
    lines.append(_freshness(status))
    lines += _trust(status.trust)
    held = ", ".join(f"{ENDPOINTS[name].title} {rows:,}" for name, rows in status.quarantine.items())
    lines.append(("Quarantine", f"{held} rows: select * from {RAW}._quarantine" if held else "empty", ""))
    cron = f"RIVO_SYNC_CRON {status.sync_cron}, {status.timezone}"
    lines += [
        ("Next sync", f"{_when(status.next_sync_at)} ({cron}), if the daemon runs", ""),
        ("Full sweep", f"with the sync of {_when(status.next_full_sweep_at)}", ""),
    ]
    return lines


def _trust(findings: tuple[str, ...] | None) -> list[tuple[str, str, str]]:
    if findings is None:
        return [("Trust", "not judged: no model has been built yet. Run `make sync`.", "")]
    content = ("Trust", "every check of rpt_data_trust is content", "green")
    return [("Trust", finding, "yellow") for finding in findings] or [content]


def _freshness(status: Status) -> tuple[str, str, str]:
    if status.is_demo:
        return "Freshness", "not judged: a demo's clock is simulated", ""
    if not status.is_stale:
        return "Freshness", "as fresh as the schedule promises", "green"
    title = ENDPOINTS[status.oldest_list].title
    if status.oldest_read_at is None:
        return "Freshness", f"STALE: {title} has never been read completely. Run `make sync`.", "red"
    if status.oldest_read_at > status.next_sync_at:
        return (
            "Freshness",
            f"NOT KNOWN: the last sync is dated {_when(status.oldest_read_at)}, later than this machine's clock. If "
            f"Rivo's clock ran ahead then, syncs are refused until `{command()} sync --rewind`.",
            "red",
        )
    return (
        "Freshness",
        f"STALE: {title} was last read completely {_when(status.oldest_read_at)}, and the schedule has come round "
        "since. Does the daemon run? Why the last run failed stands in the Dagster UI, or run `make sync` and see.",
        "red",
    )


def _print(console: Console, title: str, text: str, colour: str) -> None:
    name = f"[{colour}]{title:<11}[/{colour}]" if colour else f"{title:<11}"
    console.print(f"{name} {escape(text)}", highlight=False)


def _when(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _plain(value: object) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
