"""Names that are too long for PostgreSQL are shortened, and stay distinct."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.targets.postgres_values import shortened
from pipelines.targets.publishing import publish
from tests.targets.databases import Database
from tests.targets.test_postgres_changes import published
from tests.targets.warehouses import KEYS, SCHEMAS, publish_day

NAMES = st.one_of(
    st.text(min_size=1, max_size=80),
    # Such that differ after the place where Postgres cuts them.
    st.builds(lambda middle, end: middle * 15 + end, st.text(min_size=2, max_size=4), st.text(max_size=3)),
)
LONG = "attribute_" + "x" * 70


@settings(deadline=None)
@given(st.lists(NAMES, unique=True, min_size=2))
def test_shortened_names_fit_and_stay_distinct(names: Sequence[str]) -> None:
    made = [shortened(name) for name in names]
    assert len(set(made)) == len(names)
    for name, short in zip(names, made, strict=True):
        assert len(short.encode()) <= 63
        assert short == name or len(name.encode()) > 63
        assert shortened(short) == short


def test_shortened_name_is_that_of_earlier_publications() -> None:
    assert shortened("é" * 31) == "é" * 31
    assert shortened("é" * 32) == "é" * 25 + "_4f9422a96348"


@pytest.mark.parametrize("limit", [1_000_000, 0], ids=["small", "large"])
def test_long_names_of_columns_and_tables_are_published(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("pipelines.targets.postgres.LARGE_ROWS", limit)
    table = "rpt_" + "y" * 70
    first, second = f"{LONG}_1", f"{LONG}_2"
    keys = {**KEYS, f"reports.{table}_1": (first,)}
    oids = []
    for value in (3, 4, 4):
        changes = [
            f"create table reports.{table}_1 as select i as {first}, {value} as {second} from range(9) r(i)",
            f"create table reports.{table}_2 as select {value} as {first}",
            f"comment on column reports.{table}_1.{second} is 'value {value}'",
        ]
        _, done = published(tmp_path, database, *changes, keys=keys)
        assert done.problem == ""
        found = database.rows(
            "select oid, relname from pg_class where relname like 'rpt_yy%' and relkind = 'r' order by 2"
        )
        assert all(re.fullmatch("rpt_y{46}_[0-9a-f]{12}", name) for (_, name) in found)
        oids.append(found)
        rows = [database.rows(f'select * from reports."{name}"') for (_, name) in found]
        assert sorted(rows, key=len) == [[(value,)], [(i, value) for i in range(9)]]
        assert database.rows(
            "select distinct description from pg_description where description like 'value _'"
        ) == [(f"value {value}",)]
    assert len(oids[0]) == 2
    assert oids[0] == oids[1] == oids[2]
    marked = {name for (name,) in database.rows('select "table" from rivo_meta.published')}
    assert marked >= {f"reports.{name}" for (_, name) in oids[0]}
    assert published(tmp_path, database)[1].problem == ""
    assert database.rows("select count(*) from pg_class where relname like 'rpt_yy%'") == [(0,)]


def test_long_name_of_a_shop_is_published(tmp_path: Path, database: Database) -> None:
    shop = "s" * 40
    for day in (0, 1):
        [done] = publish(publish_day(tmp_path, day), shop, [database.target()], SCHEMAS, KEYS)
        assert done.problem == ""
    assert database.rows(f"select day from {shop}_reports.rpt_day") == [(1,)]
