"""Every model of the first release, held against a naive computation from the store's own answers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from tests.models import judge_ledger, judge_rates, judge_tiers
from tests.models.facts import World
from tests.models.shop import Shop

Expected = dict[Any, dict[str, Any]]


def compare(shop: Shop, table: str, key: tuple[str, ...], expected: Expected) -> None:
    """The table has exactly these keys, and every column that is given has these values."""
    rows = shop.rows(f"select * from {table}")
    single = len(key) == 1
    got = {row[key[0]] if single else tuple(row[name] for name in key): row for row in rows}
    assert len(got) == len(rows), f"{table}: rows share a key"
    missing, surplus = sorted(map(str, expected.keys() - got)), sorted(map(str, got.keys() - expected))
    assert (missing[:5], surplus[:5]) == ([], []), f"{table}: {len(missing)} missing, {len(surplus)} surplus"
    wrong = [
        (place, name, value, got[place][name])
        for place, columns in expected.items()
        for name, value in columns.items()
        if not _same(got[place][name], value)
    ]
    assert not wrong, f"{table}: {len(wrong)} values differ (key, column, expected, got): {wrong[:6]}"


def _same(got: Any, expected: Any) -> bool:
    if isinstance(expected, timedelta):
        return got is not None and abs(timedelta(hours=got) - expected) <= timedelta(seconds=1)
    if isinstance(expected, float) and got is not None and not isinstance(got, Decimal):
        return bool(got == pytest.approx(expected))
    return bool(got == expected)


def test_the_ledger(shop: Shop, world: World) -> None:
    expected = judge_ledger.ledger(world)
    assert expected
    compare(shop, "marts.fct_points_ledger", ("event_id", "unit", "leg"), expected)


def test_the_redemptions(shop: Shop, world: World) -> None:
    expected = judge_ledger.redemptions(world)
    assert {row["status"] for row in expected.values()} >= {"revoked", "used", "open"}
    compare(shop, "marts.fct_redemption", ("redemption_id",), expected)


def test_the_tier_changes(shop: Shop, world: World) -> None:
    expected = judge_tiers.changes(world)
    assert {row["direction"] for row in expected.values()} >= {"upgrade", "downgrade", "leave"}
    compare(shop, "marts.fct_tier_change", ("customer_id", "changed_by"), expected)


def test_moves_are_structural_when_the_tiers_changed(shop: Shop, world: World) -> None:
    changed = {
        later.at
        for earlier, later in pairwise(world.observations)
        if world.thresholds_on(earlier) != world.thresholds_on(later)
    }
    rows = [row for row in shop.rows("from marts.fct_tier_change") if row["changed_by"] in changed]
    assert rows
    assert all(row["is_structural"] for row in rows)


def test_the_migration_matrix(shop: Shop, world: World) -> None:
    expected = judge_tiers.migration(world)
    key = ("period_type", "period_start", "from_state", "from_tier_id", "to_state", "to_tier_id")
    compare(shop, "reports.rpt_tier_migration", key, expected)


def test_the_distribution(shop: Shop, world: World) -> None:
    expected = judge_tiers.distribution(world)
    compare(shop, "reports.rpt_tier_distribution", ("local_day", "state", "tier_id"), expected)


def test_the_redemption_rates(shop: Shop, world: World) -> None:
    expected = judge_rates.rates(world)
    known = [row["reward_use_rate"] for row in expected.values() if row["reward_use_rate"] is not None]
    assert bool(known) == (len(list(world.days())) > 200)
    key = ("period_type", "period_start", "segment", "segment_tier_id")
    compare(shop, "reports.rpt_redemption_rates", key, expected)


def test_the_members(shop: Shop, world: World) -> None:
    expected = judge_ledger.members(world)
    known = {row["id"] for seen in world.observations for row in seen.lists["customers"]}
    gone = known - expected.keys()
    assert gone
    expected |= {id: {"is_deleted": True, "tier_id": None} for id in gone}
    compare(shop, "marts.dim_member", ("customer_id",), expected)
