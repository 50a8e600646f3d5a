"""The models as they were before spans and allocations give the same values from the same raw tables.

`models_before_spans.tar.xz` has their SQL. `fct_points_lot` is another table now: it has rows as of the last sync, and
debits take from the lot that they name. REDEFINED has what else has another definition since, by DECISIONS.md.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from dbt_like_sql.runner import Project, build, load_project
from sandbox import DEFAULT_END, ProgramOptions
from tests.harness.store import open_store

ARCHIVE = Path(__file__).parent / "models_before_spans.tar.xz"
REDEFINED: dict[str, set[str]] = {
    "fct_points_lot": set(),
    "fct_tier_change": {"is_structural"},
    "rpt_tier_migration": {"structural_members"},
    "rpt_redemption_rates": {"reward_use_rate", "active_members"},
    "rpt_reward_performance": set(),
    # It has a check more, too.
    "rpt_data_trust": set(),
}
"""Tables with another definition of these columns; of the whole table, if there are none."""
SHOP = ProgramOptions(seed=1, customers=80, months=10)
ZONE = "America/New_York"


@pytest.fixture(scope="module")
def project_before(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The SQL project of the archive."""
    folder = tmp_path_factory.mktemp("before")
    # Without a filter, which Python 3.11 has from 3.11.4 on.
    shutil.unpack_archive(ARCHIVE, folder)
    return load_project(folder)


@pytest.fixture(scope="module")
def built(
    project_before: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Both builds of a shop after syncs on several days, attached as `before` and `after`."""
    tmp_path = tmp_path_factory.mktemp("both")
    options = {"timezone": ZONE, "patience_seconds": 0.5}
    with open_store(tmp_path / "after.duckdb", SHOP, options=options) as store:
        for days in (37, 1, 0):
            store.sync(at=DEFAULT_END - timedelta(days=days), models=days == 0)
    shutil.copy(tmp_path / "after.duckdb", tmp_path / "before.duckdb")
    with duckdb.connect(str(tmp_path / "before.duckdb")) as connection:
        connection.execute("set global TimeZone = 'UTC'")
        for schema in ("staging", "intermediate", "marts", "reports", "meta"):
            connection.execute(f"drop schema {schema} cascade")
        wrong = [node for node in build(connection, project_before) if not node.is_good]
        assert [(node.name, node.message) for node in wrong] == []
    with closing(duckdb.connect()) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name in ("before", "after"):
            connection.execute(f"attach '{tmp_path / name}.duckdb' as {name} (read_only)")
        yield connection


def test_marts_and_reports_have_the_values_of_the_models_before(built: duckdb.DuckDBPyConnection) -> None:
    columns = built.execute(
        "select schema_name || '.' || table_name, table_name, column_name, data_type from duckdb_columns() "
        "where database_name = 'before' and schema_name in ('marts', 'reports')"
    ).fetchall()
    tables: defaultdict[str, list[str]] = defaultdict(list)
    for place, table, column, kind in columns:
        redefined = REDEFINED.get(table)
        if redefined is None or (redefined and column not in redefined):
            # Sums of floating-point numbers depend on the order of the rows.
            tables[place].append(f'round("{column}", 9)' if kind == "DOUBLE" else f'"{column}"')
    assert len(tables) > 24
    filled = 0
    for name, names in tables.items():
        shown = ", ".join(names)
        before, after = (f"select {shown} from {release}.{name}" for release in ("before", "after"))
        for one, other in ((before, after), (after, before)):
            assert built.execute(f"{one} except all {other} limit 3").fetchall() == [], name
        filled += bool(built.execute(f"select 1 from before.{name} limit 1").fetchall())
    assert filled > 22


def test_lots_have_the_same_sums_as_before(built: duckdb.DuckDBPyConnection) -> None:
    sums = "select customer_id, unit, sum(issued), sum(remaining) from {} group by all order by all"
    # First in, first out or not, what remains of all lots is the balance, if it is not negative.
    before = built.execute(sums.format("before.marts.fct_points_lot where as_of_type = 'now'")).fetchall()
    assert before
    assert built.execute(sums.format("after.marts.fct_points_lot")).fetchall() == before
