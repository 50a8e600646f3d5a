"""Without a key a sync is a demo, whose file is never that of the shop."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from pipelines.errors import RivoError, SettingsError
from pipelines.rivo.client import Client
from pipelines.settings import PROJECT
from runs.demo import DEMO_SYNCS, demo_store, demo_times
from runs.shop import shop_to_sync
from tests.harness.settings import make_settings

DEMO = PROJECT / "data/demo.duckdb"
NOW = datetime(2026, 10, 5, 6, tzinfo=UTC)


def test_sync_without_key_uses_the_demo_for_any_warehouse() -> None:
    for warehouse in ("data/rivo.duckdb", "/srv/shop.duckdb", "postgres://host/db"):
        shop = shop_to_sync(make_settings(warehouse=warehouse))
        assert (shop.warehouse.path, shop.is_demo) == (DEMO, True)


def test_sync_with_key_uses_the_warehouse(tmp_path: Path) -> None:
    shop = shop_to_sync(make_settings(api_key="k", warehouse=str(tmp_path / "shop.duckdb")))
    assert (shop.warehouse.path, shop.is_demo) == (tmp_path / "shop.duckdb", False)


def test_real_data_is_refused_in_the_demo_file(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(PROJECT / "data")
    for warehouse in (
        "data/demo.duckdb",
        str(DEMO),
        "duckdb://" + str(DEMO),
        "./data/../data/demo.duckdb",
        f"{link}/demo.duckdb",
    ):
        with pytest.raises(SettingsError, match="RIVO_WAREHOUSE"):
            shop_to_sync(make_settings(api_key="k", warehouse=warehouse))


def test_demo_file_without_key_is_the_demo() -> None:
    shop = shop_to_sync(make_settings(warehouse="data/demo.duckdb"))
    assert shop.is_demo


def test_demo_replays_thirteen_weeks_then_one_day_each() -> None:
    times = demo_times(NOW, None)
    assert len(times) == DEMO_SYNCS == 13
    assert times[-1] == NOW
    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(weeks=1)}
    assert demo_times(NOW, NOW) == [NOW + timedelta(days=1)]


def test_demo_store_starts_has_a_clock_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVO_API_KEY", "a real key")
    with demo_store() as store:
        assert store.key not in ("", "a real key")
        store.set_clock(NOW + timedelta(days=3))
        assert store.now == NOW + timedelta(days=3)
        client = Client.of_settings(make_settings(api_key=store.key, api_url=store.url))
        assert client.get("/vip_tiers", {"pagination[since_id]": 0}, "VIP Tiers")["data"]
        assert client.observed_at == NOW + timedelta(days=3)
        url = store.url
    assert os.environ["RIVO_API_KEY"] == "a real key"
    gone = Client.of_settings(make_settings(api_key="k", api_url=url, patience_seconds=0.1))
    with pytest.raises(Exception, match="Cannot connect"):
        gone.get("/vip_tiers", {}, "VIP Tiers")


def test_ended_demo_store_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with demo_store() as store:
        assert store.now
    with pytest.raises(RivoError, match="no longer answers"):
        store.set_clock(NOW)
