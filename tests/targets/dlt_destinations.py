"""Destinations of dlt that run here, read without dlt, and a warehouse that changes as a test says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from pydantic import SecretStr

from pipelines.target_settings import TargetSetting
from pipelines.targets.publication import Publication
from pipelines.targets.publishing import publish
from pipelines.warehouse import Warehouse
from tests.targets.databases import Database
from tests.targets.warehouses import plain

KEYS = {"marts.ledger": ("id",), "marts.dim_member": ("customer_id",)}
SCHEMAS = ("marts", "reports", "rivo_raw")
JSON_COLUMNS = frozenset({"tags"})


@dataclass(frozen=True)
class DltDestination:
    """A destination."""

    kind: str
    url: str
    place: Path
    database: Database | None = None
    password: str | None = None

    @property
    def target(self) -> TargetSetting:
        secret = SecretStr(self.password) if self.password else None
        return TargetSetting("elsewhere", "dlt", self.url, secret)

    def rows(self, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
        """Return the rows of a table, as the destination's own reader sees them."""
        sql = f"select {columns} from {table}"
        if self.kind == "postgres":
            assert self.database is not None
            return self.database.rows(sql)
        with duckdb.connect(str(self.place) if self.kind == "duckdb" else ":memory:") as connection:
            connection.execute("set TimeZone = 'UTC'")
            if self.kind != "duckdb":
                found = self._table(table)
                connection.register("found", found)
                sql = f"select {columns} from found"
            return connection.execute(sql).fetchall()

    def _table(self, table: str) -> Any:
        folder = self.place / table.replace(".", "/")
        if self.kind == "delta":
            from deltalake import DeltaTable

            return DeltaTable(folder).to_pyarrow_table()
        if self.kind == "iceberg":
            from pyiceberg.table import StaticTable

            newest = max((folder / "metadata").glob("*.metadata.json"), key=lambda file: file.name)
            return StaticTable.from_metadata(str(newest)).scan().to_arrow()
        import pyarrow.parquet as pq

        return pq.read_table(folder)

    def marks(self) -> dict[str, int]:
        """Return the number of rows by table, as the mark has them."""
        if self.kind in ("duckdb", "postgres"):
            return {
                str(name): int(rows) for name, rows in self.rows("rivo_meta.published", '"table", "rows"')
            }
        with duckdb.connect() as connection:
            found = connection.execute(
                f"select \"table\", rows from read_parquet('{self.place}/rivo_meta/published/*.parquet')"
            ).fetchall()
        return {str(name): int(rows) for name, rows in found}


class _Soon:
    """A tenth of a second, whatever is assigned."""

    def __get__(self, _instance: object, _owner: object) -> float:
        return 0.1

    def __set__(self, _instance: object, _value: float) -> None:
        pass


def look_often() -> None:
    """Let dlt look every tenth of a second whether a load has ended, and not every second."""
    from dlt.load.load import Load

    Load._run_loop_sleep_duration = _Soon()  # type: ignore[assignment]


@dataclass
class Shop:
    """A warehouse in a folder of its own: `do` changes it, `publish` publishes it locally and to a destination."""

    folder: Path
    name: str = ""
    day: int = 0
    sent: list[Publication] = field(default_factory=list)

    @classmethod
    def made(cls, folder: Path, rows: int = 4000, name: str = "", warehouse_id: str = "first") -> Shop:
        folder.mkdir(parents=True)
        shop = cls(folder, name)
        shop.do(_MADE.format(rows=rows, warehouse_id=warehouse_id))
        return shop

    @property
    def _working_copy(self) -> Path:
        return self.folder / "working.duckdb"

    @property
    def path(self) -> Path:
        return self.folder / "rivo.duckdb"

    def do(self, sql: str) -> None:
        with duckdb.connect(str(self._working_copy)) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute(sql)

    def next_day(self) -> None:
        self.day += 1
        self.do("update rivo_raw.sync_log set observed_at = observed_at + interval 1 day")
        self.do("update rivo_raw._publication set published_at = published_at + interval 1 day")

    def publish(self, destination: DltDestination, **options: Any) -> Publication:
        made = self.folder / "rivo.made.duckdb"
        shutil.copy(self._working_copy, made)
        made.replace(self.path)
        schemas = options.pop("schemas", SCHEMAS)
        [done] = publish(Warehouse(self.path), self.name, [destination.target], schemas, KEYS, **options)
        self.sent.append(done)
        return done

    def check(self, destination: DltDestination, *tables: str, but: str = "") -> None:
        """Compare the rows of tables with those of the destination."""
        prefix = f"{self.name}_" if self.name else ""
        for table in tables:
            with duckdb.connect(str(self.path), read_only=True) as connection:
                connection.execute("set TimeZone = 'UTC'")
                found = connection.execute(f"select * from {table}")
                columns = [name[0] for name in found.description if name[0] != but]
                named = ", ".join(columns)
                expected = connection.execute(f"select {named} from {table}").fetchall()
            assert comparable(destination.rows(prefix + table, named), columns) == comparable(
                expected, columns
            ), table


def comparable(rows: list[tuple[Any, ...]], columns: list[str]) -> list[tuple[Any, ...]]:
    """Return rows in an order of their own, with one form for each value."""
    forms: list[Callable[[Any], Any]] = [_json if name in JSON_COLUMNS else plain for name in columns]
    return sorted(
        (tuple(form(value) for form, value in zip(forms, row, strict=True)) for row in rows), key=repr
    )


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


_MADE = """
create schema rivo_raw; create schema marts; create schema reports;
create table rivo_raw.settings (timezone varchar, warehouse_id varchar);
insert into rivo_raw.settings values ('UTC', '{warehouse_id}');
create table rivo_raw._publication (published_at timestamptz, erased_at timestamptz);
insert into rivo_raw._publication values (timestamptz '2026-09-01 03:03:00+00', null);
create table rivo_raw.sync_log as
select 'customers' as list, timestamptz '2026-09-01 03:00:00+00' as observed_at, true as complete;
create table rivo_raw._quarantine (list varchar, reason varchar);
insert into rivo_raw._quarantine values ('customers', 'unreadable');
create table rivo_raw.points_events as
select 5000000 + i as id, 'event ' || i as reason, i % 7 as points,
    timestamptz '2026-01-01' as _first_seen_at, timestamptz '2026-09-01' as _last_seen_at
from range({rows}) r(i);
create table marts.ledger as
select 700 + i * 3 as id, 'member' || i || '@example.com' as email, i::decimal(18, 4) as amount,
    date '2026-01-01' + (i % 300)::integer as day, null::json as tags
from range({rows}) r(i);
comment on table marts.ledger is 'All entries.';
comment on column marts.ledger.email is 'Address of the member.';
create table reports.rpt_small as select 1::bigint as one, 'small' as note;
create view marts.fct_member_daily as select 1 as one;
"""
