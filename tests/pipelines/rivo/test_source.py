"""The dlt source on its own, without the warehouse."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.errors import SettingsError
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.source import QUARANTINE, rivo
from tests.harness.stub import Asked, Reply, answering

Load = Callable[[Any], None]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that loads a source into a DuckDB file."""

    def run(source: Any) -> None:
        pipeline = dlt.pipeline(
            "rivo",
            str(tmp_path / "dlt"),
            destination=dlt.destinations.duckdb(str(tmp_path / "rivo.duckdb")),
            dataset_name="loyalty",
        )
        pipeline.run(source)

    return run


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(folder / "rivo.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def tier(id: Any, **attributes: Any) -> dict[str, Any]:
    return {"id": id, "type": "vip_tier", "attributes": {"id": id, "name": "Gold", **attributes}}


def answer_with(*tiers: Any) -> Callable[[Asked, int], Reply]:
    def answer(asked: Asked, _: int) -> Reply:
        return Reply({"links": {"next_since_id": None}, "data": list(tiers)})

    return answer


def test_source_has_a_resource_for_each_list_with_key_and_hints() -> None:
    source = rivo(api_key="key")

    assert list(source.resources) == list(ENDPOINTS)
    for name, endpoint in ENDPOINTS.items():
        schema = source.resources[name].compute_table_schema()
        assert schema["write_disposition"] == "merge"
        assert [column.name for column in endpoint.columns] == list(schema["columns"])
        assert schema["columns"]["id"]["primary_key"] is True
        assert all(column["data_type"] and column["description"] for column in schema["columns"].values())


def test_source_needs_no_key_until_it_is_read(load: Load) -> None:
    """A Dagster code location that calls it must load without a key."""
    program = "from pipelines.rivo.source import rivo; print(len(rivo().resources))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(ENDPOINTS)

    with pytest.raises(
        PipelineStepFailed, match=r"There is no API key for Rivo\. Pass rivo\(api_key=\.\.\.\)"
    ):
        load(rivo())


def test_source_reads_the_key_from_dlt_secrets(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOURCES__RIVO__API_KEY", "key-of-dlt")
    with answering(answer_with(tier(1))) as stub:
        load(rivo(api_url=stub.url, lists=["vip_tiers"]))

    assert {asked.headers["Authorization"] for asked in stub.asked} == {"key-of-dlt"}
    assert rows(tmp_path, "select id, name from loyalty.vip_tiers") == [(1, "Gold")]


def test_source_rejects_an_unknown_list() -> None:
    with pytest.raises(SettingsError, match=r"There is no list tiers\. The lists are vip_tiers, "):
        rivo(api_key="key", lists=["tiers"])


def test_source_merges_by_id_and_adds_undeclared_attributes(load: Load, tmp_path: Path) -> None:
    with answering(answer_with(tier(1), tier(2))) as stub:
        load(rivo(api_key="key", api_url=stub.url, lists=["vip_tiers"]))
    with answering(answer_with(tier(2, name="Silver", colour="grey"), tier(3))) as stub:
        load(rivo(api_key="key", api_url=stub.url, lists=["vip_tiers"]))

    assert rows(tmp_path, "select id, name, colour from loyalty.vip_tiers order by id") == [
        (1, "Gold", None),
        (2, "Silver", "grey"),
        (3, "Gold", None),
    ]


def test_source_quarantines_rows_that_do_not_fit_their_columns(load: Load, tmp_path: Path) -> None:
    with answering(answer_with(tier(1), tier(2, threshold="many"), tier(None))) as stub:
        load(rivo(api_key="key", api_url=stub.url, lists=["vip_tiers"]))

    assert rows(tmp_path, "select id from loyalty.vip_tiers") == [(1,)]
    found = rows(tmp_path, f"select list, id, reason from loyalty.{QUARANTINE} order by id")
    assert found == [
        ("vip_tiers", 2, 'threshold is not a number: "many"'),
        ("vip_tiers", None, "the row has no usable id"),
    ]
