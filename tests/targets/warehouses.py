"""Small published warehouses made by plain SQL, with every kind of value that a target must keep."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from pipelines.warehouse import Warehouse

FIRST_DAY = datetime(2026, 9, 1, 3, 0, tzinfo=UTC)
KEYS = {"marts.dim_member": ("customer_id",), "reports.rpt_day": ("day",)}
"""The keys of the tables that have one."""
SCHEMAS = ("marts", "reports")
ADDRESS = "ada.lovelace@example.com"
"""The address of customer 1."""


def publish_day(
    folder: Path,
    day: int = 0,
    *,
    members: int = 300,
    warehouse_id: str = "first-warehouse",
    extra_column: bool = False,
    address: str = ADDRESS,
    minutes: int = 3,
    erased_at: datetime | None = None,
) -> Warehouse:
    """Write the warehouse of a day, as a sync does: whole, by a rename.

    Each table says of which day it is, so that a mixture of two days can be seen. On each day ten balances change, a
    member joins, and one leaves. `minutes` after its sync it is published.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rivo.duckdb"
    made = folder / "rivo.made.duckdb"
    made.unlink(missing_ok=True)
    at = FIRST_DAY + timedelta(days=day)
    with duckdb.connect(str(made)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set variable observed_at = ?::timestamptz", [at])
        connection.execute("set variable address = ?", [address])
        connection.execute(_RAW)
        connection.execute("insert into rivo_raw.settings values ('UTC', ?)", [warehouse_id])
        connection.execute(
            "insert into rivo_raw._publication values (?, ?)", [at + timedelta(minutes=minutes), erased_at]
        )
        connection.execute(_MARTS.format(day=day, members=members))
        if extra_column:
            connection.execute("alter table marts.dim_member add column tier varchar default 'gold'")
        connection.execute(_VIEWS.format(day=day))
    made.replace(path)
    return Warehouse(path)


def plain(value: Any) -> Any:
    """Return a value in a form of which equal values have one: decimals of any scale, NaN."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else value.normalize()
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    return value


_RAW = """
create schema rivo_raw;
create table rivo_raw.settings (timezone varchar, warehouse_id varchar);
create table rivo_raw._publication (published_at timestamptz, erased_at timestamptz);
create table rivo_raw.sync_log as
select 'customers' as list, getvariable('observed_at') as observed_at, true as complete;
"""

_MARTS = r"""
create schema marts; create schema reports;
create table marts.dim_member as
select
    id::bigint as customer_id,
    case when id = 1 then getvariable('address') else 'member' || id || '@example.com' end as email,
    {day}::integer as day,
    (id * 7 + case when id % 30 = {day} % 30 then {day} else 0 end)::decimal(18, 4) / 3 as balance,
    (id::hugeint * 1000000000000000000000)::hugeint as huge,
    id % 2 = 0 as is_member,
    date '2024-01-31' + id::integer as joined,
    case when id % 5 > 0 then timestamptz '2026-03-29 00:59:59.123456+00' + to_hours(id) end as seen_at,
    timestamp '2026-03-29 02:30:00' as local_time,
    case id % 7
        when 0 then '' when 1 then 'a,b "c"' when 2 then E'line\nbreak\r\tand tab' when 3 then 'back\slash \N \. '
        when 4 then 'Zoë 日本 🎁' when 5 then null else '''quoted''' end as note,
    case id % 3 when 0 then '{{"a": [1, "x", null], "b": "x"}}'::json when 2 then '[]'::json end as tags,
    case id % 4 when 0 then 1e-300 when 1 then 'infinity'::double when 2 then 0.1 end as share
from range(1 + {day}, 1 + {day} + {members}) as t(id)
union all by name
select * replace ({day} as day) from (
    select 1::bigint as customer_id, getvariable('address') as email, {day}::integer as day,
    1::decimal(38, 4) as balance, -1::hugeint as huge, true as is_member, date '2024-02-29' as joined,
    null::timestamptz as seen_at,
    null::timestamp as local_time, 'first' as note, null::json as tags, 'nan'::double as share) where {day} > 0;
comment on table marts.dim_member is 'One row per member: "quoted", it''s so.';
comment on column marts.dim_member.email is 'E-mail address, with ''quotes''.';
create table marts.dim_date as
select date '2026-09-01' + d::integer as date_day, {day} as day from range(60) as t(d);
create table marts.fct_member_span as
select id::bigint as customer_id, date '2026-09-01' as first_day, date '2026-09-01' + 30 as last_day, {day} as day
from range(1, 20) as t(id);
create table marts.fct_empty (customer_id bigint, seen_at timestamptz);
create table reports.rpt_day as select {day}::bigint as day, 'report of day {day}' as title;
create table reports.rpt_constant as select 1::bigint as one, 'never changes' as note;
comment on table reports.rpt_constant is 'A report that never changes.';
"""

_VIEWS = """
create view marts.fct_member_daily as
with final as (
    select spans.customer_id, dates.date_day as local_day
    from marts.fct_member_span as spans
    inner join marts.dim_date as dates on dates.date_day between spans.first_day and spans.last_day
)
select * from final;
comment on view marts.fct_member_daily is 'One row per member and day.';
create schema intermediate;
create table intermediate.int_entries as select id::bigint as entry_id, {day}::bigint as day from range(50) as t(id);
create view marts.fct_ledger as select * from intermediate.int_entries;
comment on column marts.fct_ledger.entry_id is 'Id of the entry.';
"""
