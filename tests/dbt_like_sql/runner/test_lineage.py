from __future__ import annotations

import re
from pathlib import Path, PurePath

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp
from sqlglot.lineage import lineage as sqlglot_lineage

import dbt_like_sql
from dbt_like_sql.runner import DataTest, build, lineage, load_project
from dbt_like_sql.runner.relation import Origin

FILE = PurePath("models/marts/x.sql")


def read(sql: str) -> set[str]:
    return {reference.name for reference in lineage.references(lineage.parse(sql, FILE))}


def read_by_duckdb(sql: str) -> set[str]:
    # DuckDB returns names as it would write them: `S."A b" AS x`.
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
        'with "s.a" as (select 1) select * from s.a, "s.a"',
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
        "select * from s.a where i > all (select i from s.b) qualify row_number() over () = (select 1 from s.c)",
        "select * from (values ((select 1 from s.v))) as v(i)",
        "select count(*) over w from s.a window w as (partition by (select 1 from s.b))",
        "(from s.a)",
        "select list_transform([1], lambda x: x + (select 1 from s.b))",
        "select * from (pivot s.a on i in (1, 2) using sum(j))",
        "select * from c.s.t positional join s.u",
    ],
)
def test_references_equal_those_of_duckdbs_parser(sql: str) -> None:
    assert read(sql) == read_by_duckdb(sql)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from generate_series(1, (select max(i) from s.a)) as g(i)", {"s.a"}),
        ("select * from (unpivot s.a on i, j)", {"s.a"}),
        ("select * from s.a as t, unnest(t.l), range(t.n), read_csv('x.csv')", {"s.a"}),
    ],
)
def test_references_of_sql_that_duckdb_cannot_check_without_the_tables(sql: str, expected: set[str]) -> None:
    assert read(sql) == expected


def test_reference_has_its_line() -> None:
    query = lineage.parse(
        "-- one\nwith a as (\n  select * from s.a\n)\nselect * from a join s.b using (id)", FILE
    )
    assert [(r.name, r.line) for r in lineage.references(query)] == [("s.a", 3), ("s.b", 5)]


# Few names, so that CTEs often shadow tables and each other.
NAMES = st.sampled_from(["a", "b", "c"])
TABLES = st.one_of(NAMES, st.sampled_from(["s.a", "s.b", "s.c", '"S"."b"', "A"]))


@st.composite
def from_item(draw: st.DrawFn, depth: int) -> str:
    deep = ["table", "subquery", "lateral", "join", "using"] if depth else []
    kind = draw(st.sampled_from(["table", "function", *deep]))
    if kind == "function":
        # The alias may equal the name of a table.
        return draw(st.sampled_from(["range(3)", "generate_series(1, 2)"])) + f" as {draw(NAMES)}(i)"
    if kind == "using":
        left, right = (f"(select 1 as i from {draw(from_item(depth - 1))})" for _ in range(2))
        return f"({left} as {draw(NAMES)} join {right} as r using (i))"
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
        bodies = []
        for name in names:
            body = draw(query(depth - 1))
            if recursive and draw(st.booleans()):
                body = f"select 1 as i union all ({draw(select(depth - 1))})"
            bodies.append(f"{name} as ({body})")
        sql = f"with {recursive}" + ", ".join(bodies)
        # DuckDB ignores a CTE that is never read.
        sql += f" select 1 as i from {', '.join(names)} union all "
    body = draw(select(depth))
    # One operator per chain: sqlglot reads `a union b intersect c` from left to right.
    operator = draw(st.sampled_from(["union all", "union", "except", "intersect"]))
    for _ in range(draw(st.integers(0, 2)) if depth else 0):
        body += f" {operator} {draw(st.one_of(select(depth - 1), query(depth - 1).map('({})'.format)))}"
    return f"{sql}({body})" if sql else body


@settings(max_examples=200)
@given(query(2))
def test_references_of_any_query_equal_those_of_duckdbs_parser(sql: str) -> None:
    assert read(sql) == read_by_duckdb(sql)


PROJECT = load_project()


@pytest.fixture(scope="module")
def binder() -> duckdb.DuckDBPyConnection:
    """DuckDB with every table of the project, empty, because the binder needs their columns."""
    connection = duckdb.connect(config={"python_enable_replacements": False})
    for schema in dict.fromkeys(relation.partition(".")[0] for relation in PROJECT.tables):
        connection.execute(f"create schema {schema}")
    for source in PROJECT.sources.values():
        columns = ", ".join(f'"{column.name}" {column.data_type}' for column in source.columns)
        connection.execute(f"create table {source.relation} ({columns})")
    list(build(connection, PROJECT, [seed.name for seed in PROJECT.seeds]))
    for model in PROJECT.models:
        if model.language == "sql":
            connection.execute(f"create table {model.relation} as {model.code}")
        else:
            columns = ", ".join(f'"{column.name}" {column.data_type}' for column in model.columns)
            connection.execute(f"create table {model.relation} ({columns})")
    return connection


def binds_without(binder: duckdb.DuckDBPyConnection, sql: str, tables: set[str]) -> bool:
    """Whether DuckDB can bind a query after some tables are dropped."""
    binder.execute("begin")
    try:
        for table in tables:
            binder.execute(f"drop table {table}")
        binder.execute(f"explain {sql}")
    except duckdb.CatalogException:
        return False
    else:
        return True
    finally:
        binder.execute("rollback")


def tables_needed(binder: duckdb.DuckDBPyConnection, sql: str, expected: set[str]) -> set[str]:
    """Return the tables without which DuckDB cannot bind a query, quickly where they are those expected."""
    tables = set(PROJECT.tables)
    # A query that binds without all of the others at once needs none of them.
    suspects = expected if binds_without(binder, sql, tables - expected) else tables
    return {table for table in suspects if not binds_without(binder, sql, {table})}


@pytest.mark.parametrize("name", [model.name for model in PROJECT.models if model.language == "sql"])
def test_dependencies_of_every_model_equal_those_of_duckdb(
    binder: duckdb.DuckDBPyConnection, name: str
) -> None:
    model = next(model for model in PROJECT.models if model.name == name)
    relations = {PROJECT.node(n).relation for n in model.depends_on} | set(model.sources)
    assert relations == tables_needed(binder, model.code, relations)


@pytest.mark.parametrize("test", PROJECT.singular_tests, ids=lambda test: test.name)
def test_dependencies_of_every_singular_test_equal_those_of_duckdb(
    binder: duckdb.DuckDBPyConnection, test: DataTest
) -> None:
    relations = {PROJECT.node(n).relation for n in (test.node, *test.depends_on)}
    needed = tables_needed(binder, test.sql, relations)
    # A test does not depend on sources; they exist before anything is built.
    assert relations == needed - PROJECT.sources.keys()


def test_columns_of_every_sql_model_are_traced_to_sources_and_seeds() -> None:
    python = {model.relation for model in PROJECT.models if model.language != "sql"}
    ends = {*PROJECT.sources, *(seed.relation for seed in PROJECT.seeds), *python}
    for model in PROJECT.models:
        if model.relation in python:
            continue
        assert not model.is_open, model.name
        assert {origin.relation for column in model.columns for origin in column.origins} <= ends
        # Only literals and row counts have no origin: never an id or a date, nor all columns of a table.
        untraced = [column.name for column in model.columns if not column.origins]
        assert not [name for name in untraced if name.endswith(("_id", "_at", "_date"))], model.name
        assert len(untraced) < len(model.columns), model.name
    tally = next(c for c in PROJECT.node("dim_member").columns if c.name == "points_tally")
    assert PROJECT.described(tally).endswith("(from customers.points_tally)")
    # The date of a sync decides the rows of most reports, and explains none of their columns.
    assert [
        f"{model.name}.{column.name}"
        for model in PROJECT.models
        for column in model.columns
        if model.schema in ("marts", "reports") and "settings" in PROJECT.short_origins(column)
    ] == []
    months = next(c for c in PROJECT.node("rpt_program_monthly").columns if c.name == "members_end")
    assert months.origins
    assert PROJECT.short_origins(months) == ""


def test_only_lineage_and_dialects_import_sqlglot() -> None:
    folder = Path(dbt_like_sql.__file__).parent
    using = {
        path.relative_to(folder)
        for path in folder.rglob("*.py")
        if re.search(r"^(import|from) sqlglot", path.read_text(), re.M)
    }
    dialects = {path for path in using if path.parts[0] == "export"}
    assert using - dialects == {Path("runner/lineage.py")}
    assert {path.parent for path in dialects} == {Path("export/dialects")}


TABLES_KNOWN = {
    name: lineage.table(name, columns, is_open=False)
    for name, columns in {"s.a": ["id", "x"], "s.b": ["id", "y"], "s.c": ["id", "x", "z"]}.items()
}


def columns(sql: str, tables: dict[str, lineage.Relation] = TABLES_KNOWN) -> dict[str, str]:
    relation = lineage.output_columns(lineage.parse(sql, FILE), tables)
    return {name: " ".join(sorted(map(str, origins))) for name, origins in relation.columns.items()}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from s.a", {"id": "s.a.id", "x": "s.a.x"}),
        (
            "select a.*, b.y + x as sum from s.a join s.b on a.id = b.id",
            {"id": "s.a.id", "x": "s.a.x", "sum": "s.a.x s.b.y"},
        ),
        ("select s.a.x, count(*) as n, 1 as one from s.a group by all", {"x": "s.a.x", "n": "", "one": ""}),
        ("select * exclude (x) replace (id + 1 as id) from s.a", {"id": "s.a.id"}),
        ("select * rename (x as w) from s.a", {"id": "s.a.id", "w": "s.a.x"}),
        ("with t(p, q) as (select id, x from s.a) select q, p from t", {"q": "s.a.x", "p": "s.a.id"}),
        ("with a as (select x as id, id as x from s.a) select * from a", {"id": "s.a.x", "x": "s.a.id"}),
        ("select id, x from s.a union all select y, id from s.b", {"id": "s.a.id s.b.y", "x": "s.a.x s.b.id"}),
        (
            "select id, x from s.a union all by name select y, id from s.b",
            {"id": "s.a.id s.b.id", "x": "s.a.x", "y": "s.b.y"},
        ),
        ("select id, y from s.a left join s.b using (id)", {"id": "s.a.id", "y": "s.b.y"}),
        ("select id from s.a right join s.b using (id)", {"id": "s.b.id"}),
        ("select * from s.a full join s.b using (id)", {"id": "s.a.id s.b.id", "x": "s.a.x", "y": "s.b.y"}),
        ("select b.id from s.a left join s.b using (id)", {"id": "s.b.id"}),
        ("select x * 2 as double, double + 1 as more from s.a", {"double": "s.a.x", "more": "s.a.x"}),
        ("select x, x + 1 as x2 from s.a where id in (select id from s.b)", {"x": "s.a.x", "x2": "s.a.x"}),
        ("select (select max(y) from s.b where b.id = a.id) as top from s.a", {"top": "s.b.y"}),
        ("select (select a.x) as same, exists (select y from s.b) as any_b from s.a", {"same": "s.a.x", "any_b": ""}),
        ("select l.v from s.a as t, lateral (select t.x + y as v from s.b) as l", {"v": "s.a.x s.b.y"}),
        ("select u from s.a as t, unnest([t.x, t.id]) as g(u)", {"u": "s.a.id s.a.x"}),
        (
            "select sum(x) filter (where id > 1) over (partition by id) as n from s.a",
            {"n": "s.a.id s.a.x"},
        ),
        (
            "with recursive r as (select id, x from s.a union all select x, id from r) select * from r",
            {"id": "s.a.id s.a.x", "x": "s.a.id s.a.x"},
        ),
        (
            "with recursive r as (select id, x, z from s.c union all select x, z, z from r) select id from r",
            {"id": "s.c.id s.c.x s.c.z"},
        ),
        ("select v.b from (values (1, 2)) as v(a, b)", {"b": ""}),
        ("from (select id from s.a) as t select t.id, struct_pack(x := id) as p", {"id": "s.a.id", "p": "s.a.id"}),
        ("select t from s.a as t", {"t": "s.a.id s.a.x"}),
        ("select x.y.z as f, x.lower() as l from s.a", {"f": "s.a.x", "l": "s.a.x"}),
        ("select list_transform([x], e -> e + id) as l from s.a", {"l": "s.a.id s.a.x"}),
        ("select X as \"Up\" from S.A", {"up": "s.a.x"}),
        (
            "select * from (s.a join s.b on a.id = b.id) join s.c on true",
            {"id": "s.a.id", "x": "s.a.x", "y": "s.b.y", "z": "s.c.z"},
        ),
    ],
)  # fmt: skip
def test_output_columns_have_their_origins(sql: str, expected: dict[str, str]) -> None:
    assert columns(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select x from s.a where id > 1", {"s.a.id"}),
        ("select x from s.a join s.b using (id) where y > 1", {"s.a.id", "s.b.id", "s.b.y"}),
        ("select count(*) as n from s.a group by x having max(id) > 1", {"s.a.id", "s.a.x"}),
        ("select 1 as one from s.a where exists (select 1 from s.b where b.id = a.id)", {"s.a.id", "s.b.id"}),
        ("with t as (select x + 1 as w from s.c where z = 1) select w from t order by w", {"s.c.x", "s.c.z"}),
        ("select x from s.a qualify row_number() over (order by id) = 1", {"s.a.id"}),
        ("select x, id from s.a", set()),
    ],
)
def test_conditions_are_the_columns_that_determine_the_rows(sql: str, expected: set[str]) -> None:
    relation = lineage.output_columns(lineage.parse(sql, FILE), TABLES_KNOWN)
    assert {str(origin) for origin in relation.conditions} == expected


def test_open_table_provides_columns_that_are_not_listed() -> None:
    tables = {"r.a": lineage.table("r.a", ["id"], is_open=True), "s.b": TABLES_KNOWN["s.b"]}
    sql = "with t as (select * from r.a) select id, new, y from t join s.b using (id)"
    assert columns(sql, tables) == {"id": "r.a.id", "new": "r.a.new", "y": "s.b.y"}
    relation = lineage.output_columns(lineage.parse("select * from r.a", FILE), tables)
    assert relation.is_open
    assert relation.origins("new") == {Origin("r.a", "new")}


@pytest.mark.parametrize(
    "sql",
    [
        "select columns('.*') from s.a",
        "select x.* from s.a",
        "select count(*) from s.a",
        "select * from read_csv('x.csv')",
        "from (pivot s.a on id in (1) using sum(x))",
    ],
)
def test_columns_that_depend_on_data_make_the_relation_open(sql: str) -> None:
    assert lineage.output_columns(lineage.parse(sql, FILE), TABLES_KNOWN).is_open


COLUMN_NAMES = {"s.a": ("id", "x"), "s.b": ("id", "y")}


@st.composite
def two_columns(draw: st.DrawFn, depth: int) -> str:
    """Generate a query that returns the columns p and q."""
    if depth and draw(st.booleans()):
        inner = two_columns(depth - 1)
        kind = draw(st.sampled_from(["cte", "subquery", "union", "join", "scalar"]))
        p, q = draw(st.permutations(["p", "q"]))
        if kind == "cte":
            return f"with a as ({draw(inner)}) select {p} as p, {q} as q from a"
        if kind == "union":
            return f"({draw(inner)}) union all ({draw(inner)})"
        if kind == "join":
            both = f"({draw(inner)}) as t join ({draw(inner)}) as u on t.p = u.p"
            return f"select t.{p} as p, u.{q} || t.{q} as q from {both}"
        if kind == "scalar":
            return (
                f"select (select max({p}) from ({draw(inner)}) as u) as p, {q} as q from ({draw(inner)}) as t"
            )
        return f"select * from ({draw(inner)}) as t"
    table = draw(st.sampled_from(sorted(COLUMN_NAMES)))
    first, second = draw(st.permutations(COLUMN_NAMES[table]))
    return f"select {first} as p, coalesce({second}, {first}) as q from {table}"


@settings(max_examples=60)
@given(two_columns(3))
def test_output_columns_agree_with_sqlglots_lineage(sql: str) -> None:
    schema = {"s": {"a": {"id": "int", "x": "int"}, "b": {"id": "int", "y": "int"}}}
    ours = columns(sql)
    for name in ("p", "q"):
        leaves = {
            f"{node.source.db}.{node.source.name}.{node.name.rsplit('.', 1)[-1]}"
            for node in sqlglot_lineage(name, sql, schema=schema, dialect="duckdb").walk()
            if isinstance(node.source, exp.Table)
        }
        assert ours[name] == " ".join(sorted(leaves))
