"""A clock that ran ahead: what was read then counts as read now, and no history is lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pipelines.errors import ApiError
from tests.pipelines.conftest import OpenShop
from tests.pipelines.shop import Row, Shop

YEAR = timedelta(days=365)


def spells(shop: Shop, id: int) -> list[Row]:
    sql = "select points_tally, valid_from, valid_to from rivo_raw.customers_history where id = ? order by valid_from"
    return shop.dicts(sql, id)


def test_a_sync_after_a_clock_that_ran_ahead_says_what_to_do(
    open_shop: OpenShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a command that works where uv is not on the path."""
    monkeypatch.setenv("PATH", str(tmp_path))
    shop = open_shop(loaded=True)
    shop.server.date_offset = YEAR
    shop.sync()
    shop.server.date_offset = timedelta()
    shop.wait()
    with pytest.raises(
        ApiError, match=r"histories cannot run backwards.*`\.venv/bin/rivo sync --rewind` once"
    ):
        shop.sync()


def test_rewinding_keeps_every_version_in_its_order(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    id = min(shop.rows("customers"))
    first = shop.now
    second = shop.wait()
    shop.program.override("customers", id, at=second, points_tally=111_111)
    shop.sync()
    # Two syncs a year ahead: what the first of them saw has no time left.
    for tally in (222_222, 333_333):
        shop.wait(0.1)
        shop.program.override("customers", id, at=shop.now, points_tally=tally)
        shop.server.date_offset = YEAR
        shop.sync()
    shop.server.date_offset = timedelta()
    now = shop.wait(1)
    shop.program.override("customers", id, at=now, points_tally=444_444)
    result = shop.sync(rewind=True)["customers"]

    assert result.complete
    assert [(v["valid_from"], v["valid_to"]) for v in spells(shop, id)] == [
        (first, second),
        (second, now),
        (now, None),
    ]
    assert [v["points_tally"] for v in spells(shop, id)][1:] == [111_111, 444_444]
    assert shop.query("select max(observed_at) from rivo_raw.sync_log") == [(now,)]
    assert shop.query("select count(*) from rivo_raw.customers where _last_seen_at > ?", now) == [(0,)]
    shop.wait()
    assert all(result.complete for result in shop.sync().values())


def test_rewinding_without_need_changes_nothing(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    before = shop.contents()["customers_history"]
    shop.sync(rewind=True)
    assert shop.contents()["customers_history"] == before
