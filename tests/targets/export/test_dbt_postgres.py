"""The exported project on PostgreSQL, built by dbt from what `rivo publish` put there."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from dbt_like_sql.export import export
from dbt_like_sql.runner import Project
from pipelines.targets.publishing import publish
from pipelines.warehouse import Warehouse
from tests.harness.postgres_server import PASSWORD
from tests.targets.databases import Database
from tests.targets.export.compare import Local, built_models, difference
from tests.targets.export.running_dbt import dbt_build
from tests.targets.export.table import Proof, check_document


def test_postgres_builds_equal_models_and_passes_all_tests(
    file: Path, local: Local, project: Project, database: Database, tmp_path: Path
) -> None:
    [published] = publish(Warehouse(file), "", [database.target()], ("rivo_raw", "rivo_actions"), {})
    assert published.problem == ""
    # No model may depend on the time zone of the session.
    database.do(f"alter database {database.name} set timezone = 'Asia/Kolkata'")

    exported = export(project, tmp_path, "postgres")
    variables = {
        "RIVO_DBT_HOST": "127.0.0.1",
        "RIVO_DBT_PORT": str(database.server.port),
        "RIVO_DBT_USER": "dagster",
        "RIVO_DBT_PASSWORD": PASSWORD,
        "RIVO_DBT_DATABASE": database.name,
    }
    built = dbt_build(tmp_path, variables)
    assert built.problems == ()
    assert (built.models, built.tests) == (exported.models, exported.tests)
    assert built.warned == local.warned

    found = {}
    for relation in built_models(project, exported.left_out):
        columns = local.columns(relation)
        names = ", ".join(f'"{name}"' for name in columns)
        rows = database.rows(f"select {names} from rivo_{relation}")
        found[relation] = difference(columns, local.rows(relation), rows)
    assert {relation: text for relation, text in found.items() if text} == {}
    proof = Proof(
        "PostgreSQL 15 with dbt-postgres", len(project.models), len(found), built, exported.left_out
    )
    check_document("postgres", proof)
    check_new_attribute(file, tmp_path, database)


def check_new_attribute(file: Path, folder: Path, database: Database) -> None:
    """Publish again, with an attribute that Rivo has added. dbt's views read the published tables."""
    changed = folder / "changed.duckdb"
    shutil.copy(file, changed)
    with duckdb.connect(str(changed)) as connection:
        connection.execute("alter table rivo_raw.customers add column new_attribute varchar default 'x'")
    [done] = publish(Warehouse(changed), "", [database.target()], ("rivo_raw", "rivo_actions"), {})
    assert (done.problem, done.written) == ("", 1)
    assert database.rows("select distinct new_attribute from rivo_raw.customers") == [("x",)]
    [(kind,)] = database.rows("select relkind from pg_class where relname = 'stg_rivo__customers'")
    assert kind == "v"
