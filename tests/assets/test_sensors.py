"""The sensors of Rivo's events: they report new rows once, send one or two requests, and leave the warehouse alone."""

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
from pipelines.load.recent_events import points_earned
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from sandbox import Program, serve
from tests.assets.conftest import KEY, OPTIONS, House

NAMES = ("points_earned", "points_redeemed", "vip_tier_changed")


class Ticks:
    """A sensor and its cursor between ticks."""

    def __init__(self, house: House, name: str) -> None:
        self.house = house
        self.sensor = defs.resolve_sensor_def(name)
        self.cursor: str | None = None

    def evaluate(self) -> dict[str, Any] | str:
        """Return the metadata of the materialization, or the reason why there is none."""
        context = dg.build_sensor_context(instance=self.house.instance, cursor=self.cursor)
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
def test_sensor_reports_new_rows_once(house: House, name: str, table: str, condition: str) -> None:
    ticks = Ticks(house, name)
    before = house.warehouse.read_bytes()
    [[known]] = house.query(f"select max(id) from rivo_raw.{table}")

    found = ticks.evaluate()

    assert isinstance(found, dict)
    assert len(house.server.requests) == found["requests"] <= 2
    assert found["since_id"] == known
    assert ticks.evaluate() == "No new rows."
    assert house.warehouse.read_bytes() == before
    assert not house.pending.exists()
    # The next sync loads the same rows.
    assert house.run(f"rivo_raw/{table}").success
    with duckdb.connect(str(house.pending), read_only=True) as connection:
        rows = connection.execute(
            f"select id from rivo_raw.{table} where id > {known} and {condition} order by id"
        ).fetchall()
    assert found["events"] == len(rows)
    assert found["ids"] == [row_id for (row_id,) in rows][:50]
    own = "select id, points_diff, applied_at, (customer ->> 'id')::bigint, _first_seen_at is not null"
    with duckdb.connect(str(house.pending), read_only=True) as connection:
        new = connection.execute(f"{own} from rivo_raw.{table} where id > {known} order by id").fetchall()
    with duckdb.connect(str(Warehouse(house.warehouse).recent_events.path), read_only=True) as connection:
        loaded = connection.execute(f"{own} from rivo_raw.{table} order by id").fetchall()
    assert loaded == new
    assert found["rows_loaded"] == len(new)


def test_sensor_reports_tier_changes_after_a_sync(house: House) -> None:
    ticks = Ticks(house, "vip_tier_changed")
    first = ticks.evaluate()
    house.wait(20)
    assert house.run().success

    found = ticks.evaluate()

    [[moves]] = house.query(
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
def test_sensors_skip_while_a_sync_is_running(house: House, name: str) -> None:
    with Warehouse(house.warehouse).build():
        found = Ticks(house, name).evaluate()

    assert "A sync is using the rate limit" in found
    assert house.server.requests == []


@pytest.mark.parametrize("name", NAMES)
def test_sensors_skip_without_a_key_or_a_warehouse(
    house: House, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVO_WAREHOUSE", str(house.folder / "none.duckdb"))
    assert "Run a sync first" in Ticks(house, name).evaluate()
    monkeypatch.delenv("RIVO_API_KEY")
    assert "RIVO_API_KEY is not set" in Ticks(house, name).evaluate()


def test_sensor_catches_up_page_by_page(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_events, "MOST_PAGES", 1)
    ticks = Ticks(house, "points_earned")
    ticks.cursor = "1"

    found = ticks.evaluate()

    assert isinstance(found, dict)
    assert (found["requests"], found["has_more"]) == (1, True)
    assert len(found["ids"]) == 50
    later = ticks.evaluate()
    assert isinstance(later, dict)
    assert later["since_id"] == found["until_id"]
    with duckdb.connect(str(Warehouse(house.warehouse).recent_events.path), read_only=True) as connection:
        [[oldest]] = connection.execute("select min(id) from rivo_raw.points_events").fetchall()
    [[known]] = house.query("select max(id) from rivo_raw.points_events")
    assert oldest is None or oldest > known, "rows that a sync has loaded are not kept twice"


def test_server_that_ignores_the_cursor_raises_list_error(tmp_path: Path) -> None:
    program = Program(OPTIONS)
    with serve(program, key=KEY, rate_limit=0) as server:
        server.faults = ["cursor_ignored"]
        settings = Settings.load().model_copy(update={"api_key": SecretStr(KEY), "api_url": server.url})
        with pytest.raises(ListError, match="whole list"):
            points_earned(settings, Warehouse(tmp_path / "none.duckdb"), 10**9)
