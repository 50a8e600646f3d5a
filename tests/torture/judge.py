"""The judge: compares a published file with the store itself, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from pipelines.rivo.columns import Endpoint
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.warehouse.raw_tables import history_name
from sandbox import Program
from tests.harness.compare import differences, expected
from tests.torture.figures import Verdict

AGREEMENT = """
with sync_log as (
    select max(observed_at) as observed_at, count(*) as log_rows from rivo_raw.sync_log where complete
),
raw as (
    select
        max(_last_seen_at) as seen_at,
        count(*) filter (where _deleted_at is null) as customers,
        sum(points_tally) filter (where _deleted_at is null) as points
    from rivo_raw.customers
),
last_read as (
    select log.rows_read
    from rivo_raw.sync_log as log inner join sync_log using (observed_at)
    where log.list = 'customers'
    order by log.rowid desc limit 1
),
marts as (
    select
        count(*) filter (where not is_deleted) as customers,
        sum(points_tally) filter (where not is_deleted) as points
    from marts.dim_member
),
ledger as (
    select count(distinct event_id) as events from marts.fct_points_ledger
),
events as (
    select count(*) as events from rivo_raw.points_events where _deleted_at is null
),
built as (
    select min(data_as_of) as oldest, max(data_as_of) as newest from meta.build_results
)
select
    sync_log.observed_at,
    sync_log.observed_at = raw.seen_at and raw.customers = last_read.rows_read as log_and_raw,
    raw.customers = marts.customers and raw.points is not distinct from marts.points as raw_and_marts,
    ledger.events <= events.events as ledger_and_raw,
    built.oldest = sync_log.observed_at and built.newest = sync_log.observed_at as models_and_log
from sync_log, raw, last_read, marts, ledger, events, built
"""
"""A query of one row: the time, and whether raw tables, marts and sync log agree with each other."""


def agrees(connection: duckdb.DuckDBPyConnection) -> tuple[datetime, list[str]]:
    """Return the time of the state that this connection sees, and what in it disagrees."""
    relation = connection.execute(AGREEMENT)
    names = [column[0] for column in relation.description or ()]
    row = relation.fetchone()
    assert row is not None
    return row[0], [f"{name} disagree" for name, holds in zip(names[1:], row[1:], strict=True) if not holds]


def judge(
    path: Path, program: Program, *, models: bool, observations: int = 2, spoilt: Collection[datetime] = ()
) -> Verdict:
    """Compare a published file with the store: its last state, and the last observations in its histories.

    Args:
        path: the file; where there is none, there is nothing to be wrong.
        program: the store's programme, which knows every moment.
        models: whether the models were built with it.
        observations: how many syncs back the histories are judged; 0 for all.
        spoilt: times at which rows came that could not be believed, so that histories keep what was before.
    """
    verdict = Verdict()
    if not path.exists():
        return verdict
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            if models:
                verdict.said += agrees(connection)[1]
            for endpoint in ENDPOINTS.values():
                _judge_list(connection, program, endpoint, verdict)
                if endpoint.history:
                    _judge_history(connection, program, endpoint, verdict, observations, spoilt)
    except duckdb.Error as error:
        verdict.said.append(f"does not open or answer: {error}")
    return verdict


def _dicts(connection: duckdb.DuckDBPyConnection, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    cursor = connection.execute(sql, list(parameters))
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _observed(connection: duckdb.DuckDBPyConnection, name: str) -> list[datetime]:
    rows = connection.execute(
        "select distinct observed_at from rivo_raw.sync_log where list = ? and complete order by 1", [name]
    ).fetchall()
    return [at for (at,) in rows]


def _judge_list(
    connection: duckdb.DuckDBPyConnection, program: Program, endpoint: Endpoint, verdict: Verdict
) -> None:
    observed = _observed(connection, endpoint.name)
    if not observed:
        return
    view = program.view(observed[-1])
    objects = {row.id: view.object(endpoint.name, row) for row in view.rows(endpoint.name)}
    rows = _dicts(connection, f"from rivo_raw.{endpoint.name} where _deleted_at is null")
    apart = {
        id
        for (id,) in connection.execute(
            "select id from rivo_raw._quarantine where list = ?", [endpoint.name]
        ).fetchall()
    }
    ids = Counter(row["id"] for row in rows)
    doubled = sum(count - 1 for count in ids.values())
    lost = [id for id in objects.keys() - ids.keys() if id not in apart]
    by_id = {row["id"]: row for row in rows}
    said = [
        each
        for each in differences(endpoint, by_id, {id: objects[id] for id in objects if id not in apart})
        if not any(f"{endpoint.name} {id} " in each for id in apart)
    ]
    verdict.doubled += doubled
    verdict.lost += len(lost)
    verdict.said += said[:5] + [f"{endpoint.name}: {doubled} rows twice"] * bool(doubled)


def _judge_history(
    connection: duckdb.DuckDBPyConnection,
    program: Program,
    endpoint: Endpoint,
    verdict: Verdict,
    observations: int,
    spoilt: Collection[datetime],
) -> None:
    name = f"rivo_raw.{history_name(endpoint)}"
    [[overlapping]] = connection.execute(
        f"select count(*) from {name} as a inner join {name} as b on a.id = b.id and a.rowid < b.rowid "
        "and a.valid_from < coalesce(b.valid_to, 'infinity') and b.valid_from < coalesce(a.valid_to, 'infinity')"
    ).fetchall()
    if overlapping:
        verdict.doubled += overlapping
        verdict.said.append(f"{name}: {overlapping} versions overlap")
    tracked = [column for column in endpoint.columns if column.name in endpoint.history]
    for at in _observed(connection, endpoint.name)[-observations:]:
        if at in spoilt:
            continue
        view = program.view(at)
        want = {
            row.id: [
                expected(column, obj)
                for obj in [view.object(endpoint.name, row)]
                for column in tracked
                if column.type != "json"
            ]
            for row in view.rows(endpoint.name)
        }
        rows = _dicts(
            connection, f"from {name} where valid_from <= $1 and (valid_to is null or valid_to > $1)", at
        )
        have = {row["id"]: [row[c.name] for c in tracked if c.type != "json"] for row in rows}
        wrong = {id for id in want.keys() | have.keys() if want.get(id) != have.get(id)}
        if wrong:
            verdict.lost += len(wrong)
            verdict.said.append(
                f"{name}: {len(wrong)} rows as of {at} are not as the store was, {sorted(wrong)[:3]}"
            )
