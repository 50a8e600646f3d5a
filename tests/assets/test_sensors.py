"""The sensors of Rivo's events: they report new rows once, with few requests, and leave the warehouse as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from pydantic import SecretStr

from assets.definitions import defs
from pipelines.errors import ListError
from pipelines.load import recent_events
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from runs.recent_events import POINTS_EARNED
from runs.recent_events import recent_events as find_recent_events
from sandbox import Program, serve
from tests.assets.conftest import KEY, OPTIONS
from tests.harness.dagster import DagsterStore

NAMES = ("points_earned", "points_redeemed", "vip_tier_changed")


class Ticks:
    """A sensor and its cursor between ticks."""

    def __init__(self, store: DagsterStore, name: str) -> None:
        self.store = store
        self.sensor = defs.resolve_sensor_def(name)
        self.cursor: str | None = None

    def evaluate(self) -> dict[str, Any] | str:
        """Return the metadata of the materialization, or the reason why there is none."""
        context = dg.build_sensor_context(instance=self.store.instance, cursor=self.cursor)
        data = self.sensor.evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        if not data.asset_events:
            return str(data.skip_message)
        [event] = data.asset_events
        return {name: value.value for name, value in event.metadata.items()}


@pytest.mark.parametrize("name", NAMES)
def test_sensors_are_off_by_default(name: str) -> None:
    assert defs.resolve_sensor_def(name).default_status == dg.DefaultSensorStatus.STOPPED


@pytest.mark.parametrize(
    ("name", "table", "condition"),
    [
        ("points_earned", "points_events", "points_diff > 0"),
        ("points_redeemed", "points_redemptions", "true"),
    ],
)
def test_sensor_reports_new_rows_once(store: DagsterStore, name: str, table: str, condition: str) -> None:
    ticks = Ticks(store, name)
    before = store.path.read_bytes()
    [[known]] = store.query(f"select max(id) from rivo_raw.{table}")

    found = ticks.evaluate()

    assert isinstance(found, dict)
    assert len(store.server.requests) == found["requests"] <= 2
    assert found["since_id"] == known
    assert ticks.evaluate() == "No new rows."
    assert store.path.read_bytes() == before
    assert not store.pending.exists()
    # The next sync loads the same rows.
    assert store.run_job(f"rivo_raw/{table}").success
    with duckdb.connect(str(store.pending), read_only=True) as connection:
        rows = connection.execute(
            f"select id from rivo_raw.{table} where id > {known} and {condition} order by id"
        ).fetchall()
    assert found["events"] == len(rows)
    assert found["ids"] == [row_id for (row_id,) in rows][:50]
    own = "select id, points_diff, applied_at, (customer ->> 'id')::bigint, _first_seen_at is not null"
    with duckdb.connect(str(store.pending), read_only=True) as connection:
        new = connection.execute(f"{own} from rivo_raw.{table} where id > {known} order by id").fetchall()
    with duckdb.connect(str(store.warehouse.recent_events.path), read_only=True) as connection:
        loaded = connection.execute(f"{own} from rivo_raw.{table} order by id").fetchall()
    assert loaded == new
    assert found["rows_loaded"] == len(new)


def test_sensor_reports_tier_changes_after_a_sync(store: DagsterStore) -> None:
    ticks = Ticks(store, "vip_tier_changed")
    first = ticks.evaluate()
    store.wait(20)
    store.selection = "+fct_tier_change"
    store.sync("vip_tiers", "customers", models=True)

    found = ticks.evaluate()

    [[moves]] = store.query(
        "select count(*) from marts.fct_tier_change "
        "where changed_by = (select max(changed_by) from marts.fct_tier_change)"
    )
    assert isinstance(first, str) or first["moves_found_by_sync"] == 0
    assert isinstance(found, dict)
    assert found["moves_found_by_sync"] == moves > 0
    assert found["requests"] <= 2
    again = ticks.evaluate()
    assert isinstance(again, str) or again["moves_found_by_sync"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_sensors_skip_while_a_sync_is_running(store: DagsterStore, name: str) -> None:
    with store.warehouse.build():
        found = Ticks(store, name).evaluate()

    assert "A sync is using the rate limit" in found
    assert store.server.requests == []


@pytest.mark.parametrize("name", NAMES)
def test_sensors_skip_without_a_key_or_a_warehouse(
    store: DagsterStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVO_WAREHOUSE", str(store.folder / "none.duckdb"))
    assert "Run a sync first" in Ticks(store, name).evaluate()
    monkeypatch.delenv("RIVO_API_KEY")
    assert "RIVO_API_KEY is not set" in Ticks(store, name).evaluate()


def test_sensor_catches_up_page_by_page(store: DagsterStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_events, "MOST_PAGES", 1)
    ticks = Ticks(store, "points_earned")
    ticks.cursor = "1"

    found = ticks.evaluate()

    assert isinstance(found, dict)
    assert (found["requests"], found["has_more"]) == (1, True)
    assert len(found["ids"]) == 50
    later = ticks.evaluate()
    assert isinstance(later, dict)
    assert later["since_id"] == found["until_id"]
    with duckdb.connect(str(store.warehouse.recent_events.path), read_only=True) as connection:
        [[oldest]] = connection.execute("select min(id) from rivo_raw.points_events").fetchall()
    [[known]] = store.query("select max(id) from rivo_raw.points_events")
    assert oldest is None or oldest > known, "rows that a sync has loaded are not kept twice"


def test_server_that_ignores_the_cursor_raises_list_error(tmp_path: Path) -> None:
    program = Program(OPTIONS)
    with serve(program, key=KEY, rate_limit=0) as server:
        server.faults = ["cursor_ignored"]
        settings = Settings.load().model_copy(update={"api_key": SecretStr(KEY), "api_url": server.url})
        with pytest.raises(ListError, match="whole list"):
            find_recent_events(settings, Warehouse(tmp_path / "none.duckdb"), POINTS_EARNED, 10**9)
