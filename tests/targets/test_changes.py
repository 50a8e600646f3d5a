"""Changed rows of a table that a target has: every change, and little more. A copy kept by plain SQL is the judge."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from pipelines.targets.changes import Changes, find_changes
from pipelines.targets.content import Column, Content, Table
from pipelines.warehouse import Warehouse

NOWHERE = Warehouse(Path("nowhere.duckdb"))
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Ledger:
    """A table `published.rivo_raw.t`, and the copy that a target has of it."""

    connection: duckdb.DuckDBPyConnection
    key: tuple[str, ...] = ("id",)
    known: pa.Table | None = None
    sent: list[int] = field(default_factory=list)
    columns: str = "id bigint, name varchar, _last_seen_at timestamptz"

    def make(self, rows: str) -> None:
        self.connection.execute(f"create table published.rivo_raw.t ({self.columns})")
        self.connection.execute(f"insert into published.rivo_raw.t {rows}")
        self.connection.execute("create table copy as select * from published.rivo_raw.t limit 0")

    @property
    def table(self) -> Table:
        found = self.connection.execute("describe published.rivo_raw.t").fetchall()
        [(rows,)] = self.connection.execute("select count(*) from published.rivo_raw.t").fetchall()
        return Table("rivo_raw", "t", tuple(Column(row[0], row[1]) for row in found), None, self.key, rows)

    def find(self) -> Changes:
        content = Content(self.connection, (self.table,), NOW, NOW, None, "", "w", NOWHERE)
        changes = find_changes(content, self.table, self.known)
        assert changes is not None
        return changes

    def publish(self) -> Changes:
        """Apply the changes as a target does: rows sent replace those of the same values, deleted ranges go first."""
        changes = self.find()
        run = self.connection.execute
        run(f"create or replace table sent as {changes.select}")
        content = Content(self.connection, (), NOW, NOW, None, "", "w", NOWHERE)
        column = changes.column.name
        value = f"({column} - date '1970-01-01')" if changes.column.type == "DATE" else column
        if changes.is_whole:
            run("delete from copy")
        for low, high in changes.deleted_ranges(content):
            run(f"delete from copy where {value} between {low} and {high}")
        run(f"delete from copy where {column} in (select {column} from sent)")
        run("insert into copy by name select * from sent")
        [(count,)] = run("select count(*) from sent").fetchall()
        assert count == changes.rows
        self.sent.append(count)
        self.known = run(changes.state()).to_arrow_table()
        return changes

    def check(self) -> None:
        names = ", ".join(c.name for c in self.table.columns if c.name != "_last_seen_at")
        for one, other in (
            ("copy", "published.rivo_raw.t"),
            ("published.rivo_raw.t", "copy"),
        ):
            extra = self.connection.execute(
                f"select {names} from {one} except all select {names} from {other}"
            ).fetchall()
            assert extra == [], f"only in {one}"

    def run(self, sql: str) -> Any:
        return self.connection.execute(sql.replace(" t ", " published.rivo_raw.t ")).fetchall()


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as published")
        connection.execute("create schema published.rivo_raw")
        yield Ledger(connection)


def dense(rows: int) -> str:
    return f"select 5000000 + i, 'n' || i, timestamptz '2026-01-01' from range({rows}) r(i)"


def test_changes_second_time_are_none(ledger: Ledger) -> None:
    ledger.make(dense(20_000))
    assert ledger.publish().is_whole
    ledger.check()
    assert ledger.publish().is_empty


def test_changes_of_last_seen_at_alone_are_none(ledger: Ledger) -> None:
    ledger.make(dense(20_000))
    ledger.publish()
    ledger.run("update t set _last_seen_at = timestamptz '2026-02-01'")
    assert ledger.find().is_empty


def test_new_ids_cost_their_own_number_each_day(ledger: Ledger) -> None:
    ledger.make(dense(50_000))
    ledger.publish()
    for day in range(30):
        ledger.run(f"insert into t select 5050000 + {day} * 100 + i, 'new', null from range(100) r(i)")
        ledger.run(f"update t set name = 'changed {day}' where id >= 5050000 + {day} * 100 - 50")
        ledger.publish()
        ledger.check()
    assert max(ledger.sent[1:]) < 300


def test_a_scattered_change_costs_a_bucket_a_row(ledger: Ledger) -> None:
    ledger.make(dense(100_000))
    ledger.publish()
    ledger.run("update t set name = 'x' where id % 1000 = 0")
    ledger.publish()
    ledger.check()
    assert ledger.sent[-1] <= 100 * 16


def test_ids_with_wide_gaps_are_grouped_by_few_rows(ledger: Ledger) -> None:
    ledger.make(
        "select i * 104729 + case when i > 20000 then 7000000000000 else 0 end, 'n', null from range(40000) r(i)"
    )
    ledger.publish()
    ledger.run("update t set name = 'x' where id in (104729, 7000000000000 + 30000::bigint * 104729)")
    ledger.publish()
    ledger.check()
    assert 2 <= ledger.sent[-1] <= 64


def test_deleted_rows_leave_the_copy(ledger: Ledger) -> None:
    ledger.make(dense(20_000))
    ledger.publish()
    ledger.run("delete from t where id % 700 = 3 or id between 5001000 and 5001999 or id > 5019000")
    ledger.publish()
    ledger.check()


def test_appended_rows_delete_no_range(ledger: Ledger) -> None:
    ledger.make(dense(20_001))
    ledger.publish()
    ledger.run("insert into t values (5020001, 'new', null)")
    assert ledger.find().deleted == 0


def test_a_new_column_of_nulls_changes_no_row(ledger: Ledger) -> None:
    ledger.make(dense(20_000))
    ledger.publish()
    ledger.run("alter table t add column extra varchar")
    assert ledger.find().is_empty
    ledger.connection.execute("alter table copy add column extra varchar")
    ledger.run("update t set extra = 'x' where id = 5000100")
    ledger.publish()
    ledger.check()
    assert ledger.sent[-1] <= 16


def test_a_table_that_grows_is_grouped_wider_without_being_sent_again(ledger: Ledger) -> None:
    ledger.make(dense(1000))
    narrow = ledger.publish()
    ledger.run("insert into t select 5001000 + i, 'n', null from range(60000) r(i)")
    wide = ledger.publish()
    ledger.check()
    assert wide.is_regrouped
    assert wide.width > narrow.width
    assert ledger.sent[-1] <= 60_000 + wide.width
    assert ledger.publish().is_empty


def test_buckets_of_an_unfinished_publication_are_sent_again(ledger: Ledger) -> None:
    ledger.make(dense(20_000))
    ledger.publish()
    assert ledger.known is not None
    dirty = [None if first == 5_000_000 else hash_ for first, hash_ in zip(
        ledger.known["first"].to_pylist(), ledger.known["content_hash"].to_pylist(), strict=True)]  # fmt: skip
    position = ledger.known.column_names.index("content_hash")
    ledger.known = ledger.known.set_column(position, "content_hash", pa.array(dirty, pa.int64()))
    # A row of the unfinished one, which the warehouse no longer has.
    ledger.connection.execute("insert into copy values (5000000, 'orphan', null)")
    ledger.publish()
    ledger.check()
    assert 0 < ledger.sent[-1] <= 16


def test_range_of_an_unfinished_publication_without_rows_is_deleted(ledger: Ledger) -> None:
    ledger.make(dense(20_000))
    ledger.publish()
    assert ledger.known is not None
    unfinished = {"first": 0, "width": 1, "rows": 1, "last": 1, "content_hash": None, "key_hash": None}
    width = ledger.known["width"][0].as_py()
    row = pa.Table.from_pylist([{**unfinished, "width": width}], schema=ledger.known.schema)
    ledger.known = pa.concat_tables([ledger.known, row])
    ledger.connection.execute("insert into copy values (1, 'orphan', null)")
    assert not ledger.publish().is_empty
    ledger.check()


def test_a_compound_key_is_grouped_by_its_date(ledger: Ledger) -> None:
    ledger.columns = "unit varchar, day date, points bigint"
    ledger.key = ("unit", "day")
    ledger.make(
        "select u, date '1969-01-01' + i::integer, i from range(9000) r(i), (values ('a'), ('b')) v(u)"
    )
    ledger.publish()
    ledger.run("update t set points = -1 where day = date '1969-06-01' and unit = 'b'")
    ledger.run("delete from t where day = date '1980-06-01' and unit = 'a'")
    ledger.publish()
    ledger.check()
    assert ledger.sent[-1] < 100


def test_a_table_without_a_column_to_group_by_is_sent_whole(ledger: Ledger) -> None:
    ledger.columns = "name varchar, value double"
    ledger.key = ("name",)
    ledger.make("values ('a', 1)")
    assert (
        find_changes(Content(ledger.connection, (), NOW, NOW, None, "", "w", NOWHERE), ledger.table, None)
        is None
    )


@pytest.mark.parametrize("seed", range(8))
def test_any_changes_reach_the_copy(ledger: Ledger, seed: int) -> None:
    chance = random.Random(seed)
    ledger.make(
        f"select distinct (random() * {10 ** chance.randint(4, 13)})::bigint - 5000, 'n', null from range(8000)"
    )
    for day in range(6):
        ledger.publish()
        ledger.check()
        for _ in range(chance.randint(0, 4)):
            low = ledger.run(f"select id from t order by hash(id, {chance.random()}) limit 1")[0][0]
            high = low + 10 ** chance.randint(0, 6)
            ledger.run(
                chance.choice(
                    [
                        f"delete from t where id between {low} and {high}",
                        f"update t set name = 'd{day}' where id between {low} and {high}",
                        f"insert into t select distinct i, 'i', null from range({low}, {low} + 50) r(i) "
                        "where i not in (select id from published.rivo_raw.t )",
                    ]
                )
            )
