"""A warehouse belongs to one shop: other keys, a reinstalled app, replaced tiers, redemptions that come back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import ApiError, command
from tests.harness.compare import Object
from tests.harness.prepared import prepare_once
from tests.harness.shop import SmallShop, open_shop

FACTS = ["points_events", "points_redemptions", "referrals"]
REFERENCES = (
    ("points_purchases_id", "points_redemptions"),
    ("reward_id", "rewards"),
    ("earning_rule_id", "earning_rules"),
    ("vip_tier_id", "vip_tiers"),
)
NESTED = (
    ("reward", "rewards"),
    ("vip_tier", "vip_tiers"),
    ("customer", "customers"),
    ("referrer_customer", "customers"),
    ("referred_customer", "customers"),
)


def renumber(lists: dict[str, list[Object]], by: dict[str, int]) -> None:
    """Add a number to all ids of each list, and wherever another list refers to them."""
    for name, rows in lists.items():
        for row in rows:
            attributes = row["attributes"]
            row["id"] += by.get(name, 0)
            attributes["id"] = row["id"]
            for key, target in REFERENCES:
                if attributes.get(key):
                    attributes[key] += by.get(target, 0)
            for key, target in NESTED:
                if isinstance(attributes.get(key), dict):
                    attributes[key]["id"] += by.get(target, 0)


@pytest.fixture(scope="session")
def first_sync(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse of a shop after its first sync."""

    def make(folder: Path) -> None:
        with open_shop(folder / "rivo.duckdb") as shop:
            assert not shop.sync().problems

    return prepare_once(tmp_path_factory, "small_shop", make) / "rivo.duckdb"


@pytest.fixture
def shop(first_sync: Path, tmp_path: Path) -> Iterator[SmallShop]:
    """A shop after its first sync, two days later."""
    path = tmp_path / "shop" / "rivo.duckdb"
    path.parent.mkdir()
    shutil.copyfile(first_sync, path)
    with open_shop(path) as shop:
        shop.wait(2)
        yield shop


def unreconciled(shop: SmallShop) -> int:
    sql = "select count(*) from reports.rpt_ledger_reconciliation where not is_reconciled"
    [(count,)] = shop.query(sql)
    return int(count)


@pytest.mark.parametrize("distance", [777_000_000, -7_000_000_000_000])
@pytest.mark.parametrize("only", [(), ("rewards",), ("points_events",)])
def test_another_shops_key_is_refused_before_anything_is_loaded(
    shop: SmallShop, distance: int, only: tuple[str, ...]
) -> None:
    before = shop.path.read_bytes()
    renumber(shop.lists, {"customers": distance, "points_events": 5_000_000, "vip_tiers": 900})

    with pytest.raises(
        ApiError,
        match=r"^RIVO_API_KEY seems to be that of another shop: of 10 customers that the warehouse knows",
    ) as error:
        shop.sync(*only)

    assert "RIVO_API_KEY" in str(error.value)
    assert f"`{command()} sync --allow-shrink customers,points_events," in str(error.value)
    assert shop.path.read_bytes() == before


def test_all_customers_may_have_new_ids_if_that_is_accepted(shop: SmallShop) -> None:
    renumber(
        shop.lists, {"customers": 777_000_000, "points_events": 10, "points_redemptions": 5, "referrals": 3}
    )
    finished = shop.sync(allow_shrink=["customers", *FACTS])
    assert finished.problems == ()
    assert shop.results["customers"].counts.rows_deleted == len(shop.lists["customers"])


@pytest.mark.parametrize("distance", [5_000_000, -1_000_000])
def test_reinstalled_app_is_accepted_once_and_the_ledger_equals_the_tallies(
    shop: SmallShop, distance: int
) -> None:
    catalogue = {"vip_tiers": 1000, "rewards": 1000, "earning_rules": 1000}
    renumber(shop.lists, catalogue | dict.fromkeys(FACTS, distance))

    refused = [problem for problem in shop.sync().problems if "was refused" in problem]
    assert len(refused) >= 2
    for problem in refused:
        assert f"reinstalled, run `{command()} sync --allow-shrink {','.join(FACTS)}` once." in problem
    [(deleted,)] = shop.query("select count(*) from rivo_raw.points_events where _deleted_at is not null")
    assert deleted == 0

    finished = shop.sync(models=True, allow_shrink=FACTS)
    assert (finished.published, finished.problems) == (True, ())
    assert unreconciled(shop) == 0
    [(redemptions,)] = shop.query("select count(*) from marts.fct_redemption")
    assert redemptions == len(shop.lists["points_redemptions"])
    shop.wait()
    assert shop.sync().problems == ()


def test_all_tiers_may_be_replaced(shop: SmallShop) -> None:
    renumber(shop.lists, {"vip_tiers": 1000})
    assert shop.sync().problems == ()
    assert shop.results["vip_tiers"].counts.rows_deleted == len(shop.lists["vip_tiers"])


def recreate(shop: SmallShop) -> None:
    """List one redemption under a new id, as after a repair at Rivo's."""
    redemption = shop.lists["points_redemptions"][3]
    old = redemption["id"]
    redemption["id"] = redemption["attributes"]["id"] = old + 500_000
    for event in shop.lists["points_events"]:
        if event["attributes"].get("points_purchases_id") == old:
            event["attributes"]["points_purchases_id"] = redemption["id"]
    shop.lists["points_redemptions"].sort(key=lambda row: row["id"])


def copy(shop: SmallShop) -> None:
    """List one redemption under two ids."""
    row = json.loads(json.dumps(shop.lists["points_redemptions"][3]))
    row["id"] = row["attributes"]["id"] = row["id"] + 500_000
    shop.lists["points_redemptions"].append(row)


def empty_codes(shop: SmallShop) -> None:
    """Take the code from two redemptions of one customer at one time."""
    first, second = shop.lists["points_redemptions"][5:7]
    for name in ("customer", "applied_at"):
        second["attributes"][name] = first["attributes"][name]
    for row in (first, second):
        row["attributes"]["code"] = ""


def test_redemption_that_comes_back_under_a_new_id_counts_once(shop: SmallShop) -> None:
    recreate(shop)
    finished = shop.sync(models=True, full=True)
    assert (finished.published, finished.problems) == (True, ())
    [(raw, facts)] = shop.query(
        "select (select count(*) from rivo_raw.points_redemptions), (select count(*) from marts.fct_redemption)"
    )
    assert (raw, facts) == (len(shop.lists["points_redemptions"]) + 1, len(shop.lists["points_redemptions"]))


def test_copied_redemption_and_empty_codes_block_no_first_load(tmp_path: Path) -> None:
    with open_shop(tmp_path / "rivo.duckdb") as shop:
        copy(shop)
        empty_codes(shop)
        finished = shop.sync(models=True)
        assert (finished.published, finished.problems) == (True, ())
        [node] = [node for node in shop.nodes if node.name == "fct_redemption"]
        warned = {test.name: test.failures for test in node.tests if test.status == "warn"}
        assert warned["redemptions_are_not_doubled"] == 2, "the copy; two empty codes are not the same code"
