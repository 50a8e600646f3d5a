"""The SQL avoids what few other engines understand, where an equal and clear form exists."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlglot
from sqlglot import exp

from dbt_like_sql.runner.loading import PROJECT

ASOF = "ASOF join: join on a range, with lead() or lag() for its other end"
FILTER_OVER = "FILTER in a window function: write sum(case when ... end) over (...)"
ROWID = "rowid: order by a column"
TIMEZONE = "timezone(z, t): write t at time zone z"
UNNEST = "unnest() in an expression: write cross join unnest(...), or join with a calendar"

FILES = sorted(
    str(path.relative_to(PROJECT))
    for folder in ("models", "tests", "actions")
    for path in (PROJECT / folder).rglob("*.sql")
)


def idioms(sql: str) -> Iterator[str]:
    """Yield each idiom in `sql` that this project avoids."""
    for node in sqlglot.parse_one(sql, read="duckdb").walk():
        if isinstance(node, exp.Join) and node.method.upper() == "ASOF":
            yield ASOF
        elif isinstance(node, exp.Window) and isinstance(node.this, exp.Filter):
            yield FILTER_OVER
        elif isinstance(node, exp.Column | exp.Pseudocolumn) and node.name.lower() == "rowid":
            yield ROWID
        elif isinstance(node, exp.Anonymous) and node.name.lower() == "timezone":
            yield TIMEZONE
        elif isinstance(node, exp.Explode) or (
            isinstance(node, exp.Unnest) and not node.find_ancestor(exp.From, exp.Join)
        ):
            yield UNNEST


@pytest.mark.parametrize("file", FILES)
def test_sql_is_portable(file: str) -> None:
    assert set(idioms((PROJECT / file).read_text())) == set()


@pytest.mark.parametrize(
    ("sql", "idiom"),
    [
        ("select a.x from a asof join b on a.k = b.k and a.t >= b.t", ASOF),
        ("select a.x from a asof left join b on a.t >= b.t", ASOF),
        ("select sum(x) filter (where y) over (order by z) from a", FILTER_OVER),
        ("select (max(x) filter (where y) over w) + 1 from a window w as (order by z)", FILTER_OVER),
        ("select x from a order by rowid", ROWID),
        ("select a.rowid from a", ROWID),
        ("select timezone(z, t)::date from a", TIMEZONE),
        ("select unnest(generate_series(x, y, interval 1 day))::date as d from a", UNNEST),
        ("select t - to_hours(unnest([0, 1])) from a", UNNEST),
    ],
)
def test_portability_check_finds_the_idiom(sql: str, idiom: str) -> None:
    assert list(idioms(sql)) == [idiom]


@pytest.mark.parametrize(
    "sql",
    [
        "select d from a cross join unnest(generate_series(a.x, a.y, interval 1 day)) as days (d)",
        "select (t at time zone z)::date, sum(x) filter (where y) from a group by all",
        "select sum(case when y then x end) over (order by z) from a",
    ],
)
def test_portability_check_accepts_the_portable_form(sql: str) -> None:
    assert not list(idioms(sql))
