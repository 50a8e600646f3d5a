"""The exported project on dbt-duckdb: every model equals that of the runner, and every test passes."""

from __future__ import annotations

from pathlib import Path

import duckdb

from dbt_like_sql.export import export
from dbt_like_sql.runner import Project
from tests.targets.export.compare import Local, built_models, difference
from tests.targets.export.running_dbt import dbt_build
from tests.targets.export.table import Proof, check_document


def test_duckdb_builds_equal_models_and_passes_all_tests(
    file: Path, local: Local, project: Project, tmp_path: Path
) -> None:
    exported = export(project, tmp_path, "duckdb")
    built = dbt_build(tmp_path, {"RIVO_WAREHOUSE": str(file)})
    assert built.problems == ()
    assert (built.models, built.tests) == (exported.models, exported.tests)
    assert built.warned == local.warned

    found = {}
    with duckdb.connect(str(tmp_path / "rivo_dbt.duckdb"), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        # The staging views read it.
        connection.execute(f"attach '{file}' as rivo_source (read_only)")
        for relation in built_models(project, exported.left_out):
            columns = local.columns(relation)
            names = ", ".join(f'"{name}"' for name in columns)
            rows = connection.execute(f"select {names} from rivo_{relation}").fetchall()
            found[relation] = difference(columns, local.rows(relation), rows)
        [[comments]] = connection.execute(
            "select count(*) from duckdb_columns() where schema_name = 'rivo_marts' and comment is not null"
        ).fetchall()
    assert {relation: text for relation, text in found.items() if text} == {}
    assert comments > 100
    check_document("duckdb", Proof("DuckDB 1.5 with dbt-duckdb", len(project.models), len(found), built, {}))
