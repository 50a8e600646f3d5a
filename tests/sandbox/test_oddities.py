"""The default store contains every known oddity of Rivo's API."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox import DEFAULT_END, LISTS, Program, ProgramOptions
from sandbox.shapes import TEMPLATES, TIMES

from .conftest import JULY, Lists

Attrs = dict[str, Any]


def attrs_of(lists: Lists, name: str) -> list[Attrs]:
    return [row["attributes"] for row in lists[name]]


def is_late_tier(attrs: Attrs) -> bool:
    tier = attrs["vip_tier"]
    return tier is not None and tier["threshold"] >= 500 and attrs["points_tally"] < 100


ODDITIES: list[tuple[str, str, Callable[[Attrs], bool]]] = [
    ("no tier", "customers", lambda a: a["loyalty_status"] == "member" and a["vip_tier"] is None),
    ("a tier that does not fit the balance", "customers", is_late_tier),
    (
        "no next tier though there are higher ones",
        "customers",
        lambda a: (a["vip_tier"] or {}).get("name") == "Bronze" and a.get("next_vip_tier", 1) is None,
    ),
    ("a next tier", "customers", lambda a: bool(a.get("next_vip_tier"))),
    ("no lifetime tally", "customers", lambda a: a["lifetime_earnings_tally"] is None),
    ("a lifetime tally", "customers", lambda a: (a["lifetime_earnings_tally"] or 0) > 0),
    ("total_spent null", "customers", lambda a: a["total_spent"] is None),
    ("total_spent a whole number", "customers", lambda a: isinstance(a["total_spent"], int)),
    ("total_spent a fraction", "customers", lambda a: isinstance(a["total_spent"], float)),
    ("tags null", "customers", lambda a: a["shopify_tags"] is None),
    ("tags", "customers", lambda a: bool(a["shopify_tags"])),
    (
        "display date",
        "customers",
        lambda a: bool(re.match(r"[A-Z][a-z]{2} \d\d, 20\d\d$", a["points_expire_at"] or "")),
    ),
    ("dob", "customers", lambda a: bool(re.match(r"\d\d-\d\d$", a["dob"] or ""))),
    ("a missing key", "customers", lambda a: "dob_last_updated_at" not in a),
    ("credits of scale 1", "customers", lambda a: bool(re.search(r"\d\.[1-9]$", a["credits_tally"]))),
    ("credits of scale 2", "customers", lambda a: bool(re.search(r"\.\d\d$", a["credits_tally"]))),
    ("below zero", "customers", lambda a: a["points_tally"] < 0),
    ("id an array", "points_events", lambda a: isinstance(a["id"], list) and len(a["id"]) == 2),
    ("id beyond 32 bits", "points_events", lambda a: isinstance(a["id"], int) and a["id"] > 2**32),
    ("id within 32 bits", "points_events", lambda a: isinstance(a["id"], int) and a["id"] < 2**32),
    ("magnitude and sign", "points_events", lambda a: a["points_amount"] == -a["points_diff"] > 0),
    ("credits alone", "points_events", lambda a: a["points_amount"] == 0 and a["credits_amount"] != "0.0"),
    (
        "credits spent",
        "points_events",
        lambda a: a["source"] == "points_purchase" and a["credits_amount"] != "0.0",
    ),
    ("credits_diff", "points_events", lambda a: "credits_diff" in a),
    (
        "credits without a sign",
        "points_events",
        lambda a: a["credits_amount"] != "0.0" and "credits_diff" not in a,
    ),
    ("whole-second time", "points_events", lambda a: bool(re.search(r":\d\dZ$", a["applied_at"]))),
    ("time with milliseconds", "points_events", lambda a: bool(re.search(r"\.\d{3}Z$", a["applied_at"]))),
    ("hidden null", "points_events", lambda a: a.get("hidden", 1) is None),
    ("hidden false", "points_events", lambda a: a.get("hidden") is False),
    ("hidden true", "points_events", lambda a: a.get("hidden") is True),
    ("hidden missing", "points_events", lambda a: "hidden" not in a),
    (
        "not approved yet",
        "points_events",
        lambda a: a["approved_at"] is None and a["source"] == "order_placed",
    ),
    ("staff addresses", "points_events", lambda a: "@store.example" in (a["internal_note"] or "")),
    (
        "an order refunded by an entry",
        "points_events",
        lambda a: a["source"] == "order_placed" and a["points_diff"] < 0,
    ),
    (
        "an order revoked",
        "points_events",
        lambda a: a["source"] == "order_placed" and a["revoked_at"] is not None,
    ),
    (
        "points given back",
        "points_events",
        lambda a: a["source"] == "points_purchase" and a["points_diff"] > 0,
    ),
    (
        "a redemption's entry revoked",
        "points_events",
        lambda a: a["source"] == "points_purchase" and bool(a["revoked_at"]),
    ),
    (
        "points with a date of their own",
        "points_events",
        lambda a: a.get("per_event_expiration_at") is not None,
    ),
    ("expiry", "points_events", lambda a: "expir" in a["source"] and a["points_diff"] < 0),
    ("taken by hand", "points_events", lambda a: a["source"] == "manual" and a["points_diff"] < 0),
    ("incremental from credits", "points_redemptions", lambda a: a["reward"]["source"] == "credits"),
    (
        "incremental from points",
        "points_redemptions",
        lambda a: (
            a["reward"]["points_type"] == "incremental"
            and a["points_amount"] > a["reward"]["points_amount"] > 1
        ),
    ),
    ("percentage", "points_redemptions", lambda a: a["reward"]["reward_type"] == "percentage"),
    ("free shipping", "points_redemptions", lambda a: a["reward"]["reward_type"] == "free_shipping"),
    ("free product", "points_redemptions", lambda a: a["reward"]["reward_type"] == "free_product"),
    ("into credit", "points_redemptions", lambda a: a["formatted_store_credit_amount"] == "$12.50"),
    ("the reward's old name", "points_redemptions", lambda a: a["reward"]["name"] == "Free shipping"),
    ("the reward's old price", "points_redemptions", lambda a: a["reward"]["points_amount"] == 200),
    ("never expires", "points_redemptions", lambda a: a["expires_at"] is None),
    (
        "expired unused",
        "points_redemptions",
        lambda a: bool(a["expires_at"]) and a["expires_at"] < "2026-10" and a["used_at"] is None,
    ),
    ("revoked", "points_redemptions", lambda a: a["revoked_at"] is not None),
    ("used and refunded", "points_redemptions", lambda a: bool(a["refunded_at"] and a["used_at"])),
    ("little known", "referrals", lambda a: "claimed_at" not in a and "referrer_customer_id" not in a),
    ("disabled", "rewards", lambda a: a["enabled"] is False),
    ("count moves", "rewards", lambda a: a["redeemed_count"] > 100),
    ("disabled rule", "earning_rules", lambda a: a["status"] == "disabled" and a["title"] is not None),
    ("partly null", "earning_rules", lambda a: a["title"] is None and a["trigger"] is not None),
    ("multiplier", "earning_rules", lambda a: a["points_type"] == "multiplier"),
    (
        "credits a number",
        "earning_rules",
        lambda a: a["credits_amount"] == 0 and a["credits_amount"] is not None,
    ),
    ("credits a text", "earning_rules", lambda a: a["credits_amount"] == "0.0"),
    ("all null", "earning_rules", lambda a: all(value is None for value in a.values())),
]


@pytest.mark.parametrize(("what", "name", "holds"), ODDITIES, ids=[f"{o[1]}: {o[0]}" for o in ODDITIES])
def test_default_store_contains_the_oddity(
    lists: Lists, what: str, name: str, holds: Callable[[Attrs], bool]
) -> None:
    count = sum(map(holds, attrs_of(lists, name)))
    assert count, what
    assert name in ("rewards", "earning_rules", "vip_tiers") or count < len(lists[name])


def test_rows_have_numeric_ids_and_documented_types(lists: Lists) -> None:
    for name, rows in lists.items():
        assert all(type(row["id"]) is int for row in rows)
        assert name != "customers" or all(10**12 < row["id"] < 10**13 for row in rows)
        assert {row["type"] for row in rows} == {LISTS[name]}
    assert LISTS["rewards"] == "rewards"
    for row in lists["points_events"]:
        id = row["attributes"]["id"]
        assert row["id"] == (id[1] if isinstance(id, list) else id)


def test_rows_have_every_documented_attribute(lists: Lists) -> None:
    for name, rows in lists.items():
        met: set[str] = set()
        for row in rows:
            met |= set(row["attributes"])
        assert met - {"credits_diff"} == set(TEMPLATES[name])
    for row in lists["customers"]:
        assert not {"created_at", "updated_at"} & set(row["attributes"])


def moments(lists: Lists) -> Iterator[str]:
    for name, keys in TIMES.items():
        for attrs in attrs_of(lists, name):
            yield from (attrs[key] for key in keys if attrs.get(key) is not None)


def test_times_are_iso_in_utc(lists: Lists) -> None:
    pattern = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$")
    assert all(pattern.match(moment) for moment in moments(lists))


def test_nested_customers_keep_old_values(lists: Lists) -> None:
    now = {row["id"]: row["attributes"]["points_tally"] for row in lists["customers"]}
    nested = [attrs["customer"] for attrs in attrs_of(lists, "points_events")]
    assert any(card["points_tally"] != now.get(card["id"]) for card in nested)


def test_back_dated_rows_have_new_ids(lists: Lists) -> None:
    applied = [attrs["applied_at"] for attrs in attrs_of(lists, "points_events")]
    assert applied != sorted(applied)


def test_some_rows_are_dated_in_the_future(program: Program) -> None:
    ahead = [entry for entry in program.truth.ledger() if entry.applied_at > entry.visible_at]
    assert len(ahead) > 5


def test_staff_change_tiers_rewards_and_rules(program: Program) -> None:
    earlier, later = program.snapshot(JULY), program.snapshot(DEFAULT_END)
    names = [
        {row["id"]: row["attributes"]["name"] for row in lists["vip_tiers"]} for lists in (earlier, later)
    ]
    assert names[0][552_288] == "Silver"
    assert names[1][552_288] == "Sterling"
    gone = {row["id"] for row in earlier["rewards"]} - {row["id"] for row in later["rewards"]}
    assert gone == {594_148}
    assert any(attrs["reward_id"] == 594_148 for attrs in attrs_of(later, "points_redemptions"))
    start = program.snapshot(ProgramOptions().start)
    thresholds = {row["id"]: row["attributes"]["threshold"] for row in start["vip_tiers"]}
    assert thresholds[552_301] == 1_200
    assert len(start["earning_rules"]) < len(later["earning_rules"])


def test_incremental_value_is_in_the_name(lists: Lists) -> None:
    for attrs in attrs_of(lists, "points_redemptions"):
        reward = attrs["reward"]
        if reward["points_type"] == "incremental":
            spent = (
                float(attrs["credits_amount"]) if reward["source"] == "credits" else attrs["points_amount"]
            )
            value = reward["reward_value"] * spent / reward["points_amount"]
            assert float(attrs["name"].split()[0].removeprefix("$")) == pytest.approx(value, abs=0.01)


# -- special shops --------------------------------------------------------------------------------------


def shop(**options: Any) -> Lists:
    return Program(ProgramOptions(**{"customers": 150, **options})).snapshot(DEFAULT_END)


def test_empty_shop_has_no_customers() -> None:
    lists = shop(customers=0)
    assert not any(lists[name] for name in ("customers", "points_events", "points_redemptions", "referrals"))
    assert lists["vip_tiers"]
    assert lists["rewards"]


def test_shop_with_one_customer() -> None:
    assert len(shop(customers=1)["customers"]) == 1


def test_shop_without_tiers() -> None:
    lists = shop(tiers=False)
    assert lists["vip_tiers"] == []
    assert not any(attrs["vip_tier"] or attrs.get("next_vip_tier") for attrs in attrs_of(lists, "customers"))


def test_shop_with_credits_only() -> None:
    lists = shop(credits_only=True)
    assert all(attrs["points_diff"] == 0 for attrs in attrs_of(lists, "points_events"))
    assert any(attrs["credits_amount"] != "0.0" for attrs in attrs_of(lists, "points_redemptions"))


def test_unknown_source_option_adds_the_source() -> None:
    sources = {attrs["source"] for attrs in attrs_of(shop(unknown_source=True), "points_events")}
    assert "gamification_spin" in sources


def test_legacy_keys_option_renames_attributes() -> None:
    for attrs in attrs_of(shop(legacy_keys=True), "customers"):
        assert {"loyalty_points_tally", "loyalty_status_last_updated_at"} <= set(attrs)
        assert not {"points_tally", "loyalty_status_last_changed_at"} & set(attrs)
