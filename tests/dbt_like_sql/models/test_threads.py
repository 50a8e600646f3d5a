"""Models come out the same with one thread, which small shops get, and with several."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dbt_like_sql.runner import build, resources
from tests.dbt_like_sql.models.stores import question_warehouse
from tests.dbt_like_sql.runner.building import contents
from tests.harness.store import project


def without_last_digit(value: Any) -> Any:
    """Return tables with 15 digits of each float: the sum of many depends on the order of the rows in the last one."""
    if isinstance(value, float):
        return float(f"{value:.15g}")
    if isinstance(value, list | tuple):
        return [without_last_digit(each) for each in value]
    if isinstance(value, dict):
        return {key: without_last_digit(each) for key, each in value.items()}
    return value


def test_models_are_the_same_with_several_threads(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shop.duckdb"
    shutil.copy(question_warehouse(tmp_path_factory), path)
    with duckdb.connect(str(path), config={"threads": 4}) as connection:
        connection.execute("set global TimeZone = 'UTC'")
        with_one = without_last_digit(contents(connection))

        monkeypatch.setattr(resources, "ROW_GROUP", -1)
        nodes = list(build(connection, project(), rebuild=list(project().nodes)))

        assert {node.status for node in nodes} == {"success"}
        assert without_last_digit(contents(connection)) == with_one
