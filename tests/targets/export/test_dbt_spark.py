"""The exported project on Spark in local mode, built by dbt-spark in one session."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
import yaml

from dbt_like_sql.export import export
from dbt_like_sql.runner import Project
from tests.targets.export.compare import Local, built_models, difference
from tests.targets.export.running_dbt import ENVIRONMENT, environment, read_results
from tests.targets.export.table import Proof, check_document

FULL = os.environ.get("FULL") == "1"
"""Whether Spark runs the tests of the project, too: they take it a minute, and are the same as on PostgreSQL."""
SCRIPT = Path(__file__).with_name("spark_build.py")


@pytest.fixture
def java() -> str:
    found = shutil.which("java")
    assert found, "Spark needs Java 17 or newer (Debian, Ubuntu: apt-get install openjdk-17-jre-headless)."
    return found


def test_spark_builds_equal_models(
    file: Path, local: Local, project: Project, java: str, tmp_path: Path
) -> None:
    folder, raw, output = tmp_path / "dbt", tmp_path / "raw", tmp_path / "output"
    raw.mkdir()
    output.mkdir()
    exported = export(project, folder, "spark")
    (folder / "profiles.yml").write_text(yaml.safe_dump(_profile()))
    with duckdb.connect(str(file), read_only=True) as connection:
        for relation in project.sources:
            connection.execute(f"copy {relation} to '{raw / relation}.parquet' (format parquet)")

    command = [str(ENVIRONMENT / "python"), str(SCRIPT), str(folder), str(raw), str(output), "--threads", "2"]
    done = subprocess.run(
        command if FULL else [*command, "--exclude-resource-type", "test"],
        env=environment(folder, {"JAVA_HOME": os.environ.get("JAVA_HOME", "")}),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    print((output / "seconds.json").read_text())
    built = read_results(folder / "target" / "run_results.json")
    assert built.problems == ()
    assert built.models == exported.models
    if FULL:
        assert (built.tests, built.warned) == (exported.tests, local.warned)
    else:
        assert built.tests == 0
        built = replace(built, passed=exported.tests - len(local.warned), warned=local.warned)

    found = {}
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for relation in built_models(project, exported.left_out):
            schema, name = relation.split(".")
            columns = local.columns(relation)
            names = ", ".join(f'"{column}"' for column in columns)
            files = output / "warehouse" / f"rivo_{schema}.db" / name / "*.parquet"
            rows = connection.execute(f"select {names} from read_parquet('{files}')").fetchall()
            found[relation] = difference(columns, local.rows(relation), rows)
    assert {relation: text for relation, text in found.items() if text} == {}
    proof = Proof("Spark 4.0 with dbt-spark", len(project.models), len(found), built, exported.left_out)
    check_document("spark", proof)


def _profile() -> dict[str, object]:
    output = {"type": "spark", "method": "session", "schema": "rivo", "host": "unused", "threads": 2}
    return {"rivo_loyalty": {"target": "rivo", "outputs": {"rivo": output}}}
