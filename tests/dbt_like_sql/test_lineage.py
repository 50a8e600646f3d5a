from __future__ import annotations

from pathlib import PurePath

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbt_like_sql import lineage
from dbt_like_sql.lineage import Origin

FILE = PurePath("models/marts/x.sql")


def read(sql: str) -> set[str]:
    return {reference.name for reference in lineage.references(lineage.parse(sql, FILE))}


def read_by_duckdb(sql: str) -> set[str]:
    # It says them as it would write them: `S."A b" AS x`.
    names = duckdb.get_table_names(sql, qualified=True)
    return {name.lower().partition(" as ")[0].replace('"', "") for name in names}


@pytest.mark.parametrize(
    "sql",
    [
        "from s.a",
        'select * from "S"."A b" as x, s."C"',
        "with a as (select * from a) select * from a",
        "with a as (select * from b), b as (select 1) select * from a",
        "with a as (select 1) select * from s.a join a on true",
        "with recursive a as (select * from b), b as (select 1) select * from a",
        "with recursive a as (select * from a) select * from a",
        "with recursive a as (select 1 as i from a union all select i + 1 from a) select * from a",
        "with recursive a as ((select 1) union all (select * from a union all select * from q.r)) from a",
        "with a as (select 1) select * from (with b as (from a), a as (from b) select * from a)",
        "(with a as (select 1) select * from a) union select * from a",
        "with a as (select 1) select 1 union select * from a",
        "select * from a union (with a as (select * from x.b) select * from a)",
        "select 1 where exists (from x.y) order by (select max(i) from x.z) limit (select 3 from x.w)",
        "select (select max(i) from u.v), 1 in (select i from u.w) from (from w.x) group by all",
        "select * from s.a as t, lateral (select * from s.b as b where b.i = t.i) as l",
        "select * from s.a join lateral (select * from s.c) as l on true",
        "select * from (s.a join s.b on true) join s.c on true",
        "select * from generate_series(1, (select max(i) from s.a)) as g(i)",
        "select * from s.a where i > all (select i from s.b) qualify row_number() over () = (select 1 from s.c)",
        "select * from (values ((select 1 from s.v))) as v(i)",
        "select count(*) over w from s.a window w as (partition by (select 1 from s.b))",
        "(from s.a)",
        "select list_transform([1], lambda x: x + (select 1 from s.b))",
        "select * from (pivot s.a on i in (1, 2) using sum(j))",
        "select * from (unpivot s.a on i, j)",
        "select * from c.s.t asof join s.u on true",
    ],
)
def test_tables_are_those_of_duckdbs_own_parser(sql: str) -> None:
    try:
        expected = read_by_duckdb(sql)
    except duckdb.ParserException:
        raise
    except duckdb.Error:
        pytest.skip("DuckDB wants the tables themselves")
    assert read(sql) == expected


# Few names, so that CTEs shadow tables and each other all the time.
NAMES = st.sampled_from(["a", "b", "c"])
TABLES = st.one_of(NAMES, st.sampled_from(["s.a", "s.b", "s.c", '"S"."b"', "A"]))


@st.composite
def from_item(draw: st.DrawFn, depth: int) -> str:
    kind = draw(st.sampled_from(["table", "table", "subquery", "lateral", "join"] if depth else ["table"]))
    if kind == "subquery":
        return f"({draw(query(depth - 1))}) as {draw(NAMES)}"
    if kind == "lateral":
        return f"({draw(TABLES)} cross join lateral ({draw(query(depth - 1))}) as l)"
    if kind == "join":
        return f"({draw(from_item(depth - 1))} cross join {draw(TABLES)})"
    return draw(TABLES)


@st.composite
def select(draw: st.DrawFn, depth: int) -> str:
    sql = "select "
    sql += f"({draw(query(depth - 1))})" if depth and draw(st.booleans()) else "1 as i"
    if draw(st.integers(0, 4)):
        sql += " from " + draw(from_item(depth))
        if draw(st.booleans()):
            sql += f" left join {draw(from_item(depth))} on true"
    if depth and draw(st.booleans()):
        sql += f" where exists ({draw(query(depth - 1))})"
    return sql


@st.composite
def query(draw: st.DrawFn, depth: int) -> str:
    sql = ""
    if depth and draw(st.booleans()):
        names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
        recursive = draw(st.sampled_from(["", "recursive "]))
        sql = f"with {recursive}" + ", ".join(f"{n} as ({draw(query(depth - 1))})" for n in names)
        # DuckDB does not look into a CTE that nobody reads.
        sql += f" select 1 as i from {', '.join(names)} union all "
    body = draw(select(depth))
    for _ in range(draw(st.integers(0, 2)) if depth else 0):
        other = draw(st.one_of(select(depth - 1), query(depth - 1).map("({})".format)))
        body += f" {draw(st.sampled_from(['union all', 'union', 'except', 'intersect']))} {other}"
    return sql + body


@settings(max_examples=200, deadline=None)
@given(query(2))
def test_tables_of_any_query_are_those_of_duckdbs_own_parser(sql: str) -> None:
    assert read(sql) == read_by_duckdb(sql)
