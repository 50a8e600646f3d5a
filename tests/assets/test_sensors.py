"""Rivo's three events: told once, loaded by one or two requests, and without touching the warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from pydantic import SecretStr

from assets.definitions import defs
from pipelines.errors import ListError
from pipelines.load import recent_events as news
from pipelines.load.recent_events import points_earned
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from sandbox import Program, serve
from tests.assets.conftest import KEY, OPTIONS
from tests.harness.dagster import DagsterStore

NAMES = ("points_earned", "points_redeemed", "vip_tier_changed")


class Watch:
    """A sensor that is asked again and again."""

    def __init__(self, store: DagsterStore, name: str) -> None:
        self.store = store
        self.sensor = defs.resolve_sensor_def(name)
        self.cursor: str | None = None

    def look(self) -> dict[str, Any] | str:
        """The figures of what was told, or why nothing was."""
        context = dg.build_sensor_context(instance=self.store.instance, cursor=self.cursor)
        data = self.sensor.evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        if not data.asset_events:
            return str(data.skip_message)
        [event] = data.asset_events
        return {name: value.value for name, value in event.metadata.items()}


@pytest.mark.parametrize("name", NAMES)
def test_they_are_off_until_somebody_turns_them_on(name: str) -> None:
    assert defs.resolve_sensor_def(name).default_status == dg.DefaultSensorStatus.STOPPED


@pytest.mark.parametrize(
    ("name", "table", "condition"),
    [
        ("points_earned", "points_events", "points_diff > 0"),
        ("points_redeemed", "points_redemptions", "true"),
    ],
)
def test_what_is_new_is_told_once(store: DagsterStore, name: str, table: str, condition: str) -> None:
    watch = Watch(store, name)
    before = store.path.read_bytes()
    [[known]] = store.query(f"select max(id) from rivo_raw.{table}")

    said = watch.look()

    assert isinstance(said, dict)
    assert len(store.server.requests) == said["requests"] <= 2
    assert said["since_id"] == known
    assert watch.look() == "Nothing new."
    assert store.path.read_bytes() == before
    assert not store.pending.exists()
    # The next sync finds the same rows, and more are not missing.
    assert store.run_job(f"rivo_raw/{table}").success
    with duckdb.connect(str(store.pending), read_only=True) as connection:
        rows = connection.execute(
            f"select id from rivo_raw.{table} where id > {known} and {condition} order by id"
        ).fetchall()
    assert said["events"] == len(rows)
    assert said["ids"] == [row_id for (row_id,) in rows][:50]
    own = "select id, points_diff, applied_at, (customer ->> 'id')::bigint, _first_seen_at is not null"
    with duckdb.connect(str(store.pending), read_only=True) as connection:
        new = connection.execute(f"{own} from rivo_raw.{table} where id > {known} order by id").fetchall()
    with duckdb.connect(str(store.warehouse.recent_events.path), read_only=True) as connection:
        loaded = connection.execute(f"{own} from rivo_raw.{table} order by id").fetchall()
    assert loaded == new
    assert said["rows_loaded"] == len(new)


def test_moves_between_tiers_are_told_after_a_sync(store: DagsterStore) -> None:
    watch = Watch(store, "vip_tier_changed")
    first = watch.look()
    store.wait(20)
    assert store.run_job().success

    said = watch.look()

    [[moves]] = store.query(
        "select count(*) from marts.fct_tier_change "
        "where changed_by = (select max(changed_by) from marts.fct_tier_change)"
    )
    assert isinstance(first, str) or first["moves_found_by_sync"] == 0
    assert isinstance(said, dict)
    assert said["moves_found_by_sync"] == moves > 0
    assert said["requests"] <= 2
    again = watch.look()
    assert isinstance(again, str) or again["moves_found_by_sync"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_they_wait_while_a_sync_is_at_work(store: DagsterStore, name: str) -> None:
    with store.warehouse.build():
        said = Watch(store, name).look()

    assert "A sync is at work" in said
    assert store.server.requests == []


@pytest.mark.parametrize("name", NAMES)
def test_without_a_key_or_a_warehouse_they_say_so(
    store: DagsterStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVO_WAREHOUSE", str(store.folder / "none.duckdb"))
    assert "Sync once" in Watch(store, name).look()
    monkeypatch.delenv("RIVO_API_KEY")
    assert "RIVO_API_KEY is not set" in Watch(store, name).look()


def test_a_sensor_that_was_off_for_long_catches_up_page_by_page(
    store: DagsterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "MOST_PAGES", 1)
    watch = Watch(store, "points_earned")
    watch.cursor = "1"

    said = watch.look()

    assert isinstance(said, dict)
    assert (said["requests"], said["has_more"]) == (1, True)
    assert len(said["ids"]) == 50
    later = watch.look()
    assert isinstance(later, dict)
    assert later["since_id"] == said["until_id"]
    with duckdb.connect(str(store.warehouse.recent_events.path), read_only=True) as connection:
        [[oldest]] = connection.execute("select min(id) from rivo_raw.points_events").fetchall()
    [[known]] = store.query("select max(id) from rivo_raw.points_events")
    assert oldest is None or oldest > known, "what a sync has brought is not kept twice"


def test_a_server_without_a_cursor_is_told(tmp_path: Path) -> None:
    program = Program(OPTIONS)
    with serve(program, key=KEY, rate_limit=0) as server:
        server.faults = ["cursor_ignored"]
        settings = Settings.load().model_copy(update={"api_key": SecretStr(KEY), "api_url": server.url})
        with pytest.raises(ListError, match="cannot be told without reading the whole list"):
            points_earned(settings, Warehouse(tmp_path / "none.duckdb"), 10**9)
