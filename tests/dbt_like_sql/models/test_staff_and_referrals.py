"""Manual adjustments and referrals that the simulated stores do not have: outliers, notes, shared IP addresses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from sandbox import DEFAULT_END, Program, ProgramOptions
from tests.dbt_like_sql.models import judge_staff_and_referrals
from tests.dbt_like_sql.models.facts import World
from tests.dbt_like_sql.models.stores import LEDGER, open_observed_store
from tests.dbt_like_sql.models.test_judged import compare
from tests.harness.compare import Row
from tests.harness.store import Store

END = DEFAULT_END
FIRST = END - timedelta(days=120)
SHARED, OTHER = "198.51.100.7", "2001:db8::7"
SELECTION = "+rpt_manual_adjustments +rpt_referral_quality"


class Scene:
    """A store to which a test adds manual events and referrals."""

    def __init__(self) -> None:
        self.program = Program(ProgramOptions(seed=9, customers=60, months=6))
        self.emails = {
            row["id"]: row["attributes"]["email"] for row in self.program.snapshot(END)["customers"]
        }
        self.people = sorted(self.emails)

    def adjust(self, customer: int, at: datetime, points: int = 10, **attrs: Any) -> int:
        attrs = {"title": "Points adjusted", "internal_note": "by Ann@Store.example", **attrs}
        row = {"customer": {"id": customer}, "source": "manual", "points_diff": points, "applied_at": at}
        return self.program.insert("points_events", row | attrs, at=END - timedelta(hours=2))

    def refer(self, advocate: int, status: str, hours: float | None = None, **attrs: Any) -> int:
        """Add a referral, which was completed some hours after it was created."""
        at = END - timedelta(days=20)
        done = None if hours is None else at + timedelta(hours=hours)
        row = {"status": status, "created_at": at, "completed_at": done, "status_last_changed_at": done}
        row |= {"referrer_customer_id": advocate, "advocate_email": self.emails[advocate]}
        return self.program.insert("referrals", row | attrs, at=at)

    def order(self, customer: int, count: int | None) -> int:
        """Set the number of a customer's orders."""
        self.program.override("customers", customer, at=END, orders_count=count)
        return customer


def _adjustments(scene: Scene) -> dict[str, int]:
    """Add manual events, and return the ids of those that tests look at."""
    near, far, both, busy, big, noted, *_ = scene.people
    ids = {}
    for name, customer, days in (("third", near, 89), ("late_third", far, 90)):
        scene.adjust(customer, FIRST)
        scene.adjust(customer, FIRST + timedelta(days=30), -5)
        ids[name] = scene.adjust(customer, FIRST + timedelta(days=days))
    scene.adjust(both, FIRST)
    ids["both_units"] = scene.adjust(both, FIRST, 30, credits_diff="2.5", credits_amount="2.5")
    for number in range(110):
        scene.adjust(busy, FIRST + timedelta(hours=number), 20)
    ids["large"] = scene.adjust(big, FIRST, 5_000, external_note="  Sorry for the wait ")
    ids["revoked"] = scene.adjust(big, FIRST, 7, revoked_at=FIRST + timedelta(days=1), external_note=" ")
    ids["hidden"] = scene.adjust(noted, FIRST, hidden=True, internal_note="see ann@store.example.")
    ids["two_addresses"] = scene.adjust(noted, FIRST, internal_note="<bo@store.example>, ann@store.example")
    ids["no_address"] = scene.adjust(scene.people[7], FIRST, internal_note="[rivo-warehouse add_points 8f2c]")
    ids["no_note"] = scene.adjust(scene.people[8], FIRST, internal_note=None)
    return ids


def _referrals(scene: Scene) -> dict[str, int]:
    """Add referrals, and return the advocates that tests look at."""
    names = ("sharing", "family", "blocked", "mixed", "quick", "loyal", "timeless", "unknown", "alone")
    advocates = dict(zip(names, scene.people[10:], strict=False))
    friends = iter(scene.people[25:])
    for number in range(4):
        # Rivo names the advocate by id in some rows, by address in others.
        by_id = {} if number else {"referrer_customer_id": None}
        scene.refer(advocates["sharing"], "unclaimed", signup_ip=SHARED, **by_id)
    scene.refer(advocates["sharing"], "unclaimed", signup_ip="")
    scene.refer(advocates["family"], "unclaimed", signup_ip=OTHER)
    scene.refer(advocates["family"], "pending", signup_ip=OTHER)
    scene.refer(advocates["alone"], "unclaimed", signup_ip=SHARED)
    for reason in ("ip_already_used", "Same_IP", "shipping_address", None, ""):
        scene.refer(advocates["blocked"], "blocked", block_reason=reason)
    for reason in ("existing_customer", "existing_customer", "same ip"):
        scene.refer(advocates["mixed"], "blocked", block_reason=reason)
    for number in range(4):
        scene.refer(advocates["mixed"], "unclaimed", signup_ip=f"198.51.100.{20 + number}")
    for name, second in (("quick", 1), ("loyal", 2), ("unknown", None)):
        for number, hours in enumerate((1, 23.9, 24)):
            friend = scene.order(next(friends), second if number == 2 or second is None else 1)
            scene.refer(advocates[name], "completed", hours, referred_customer_id=friend)
        scene.refer(advocates[name], "completed", 24.1, referred_customer_id=friend)
    scene.refer(advocates["timeless"], "completed", referred_customer_id=scene.order(next(friends), 1))
    return advocates


Found = tuple[Store, dict[str, Row], dict[str, Row]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """The store, its named adjustments in points, and its named advocates."""
    scene = Scene()
    ids, advocates = _adjustments(scene), _referrals(scene)
    folder = tmp_path_factory.mktemp("staff")
    with open_observed_store(scene.program, folder, selection=SELECTION) as store:
        store.sync(*LEDGER, "referrals", at=END, models=True)
        adjustments = store.dicts("from reports.rpt_manual_adjustments where unit = 'points'")
        quality = store.dicts("from reports.rpt_referral_quality")
        rows = {row["event_id"]: row for row in adjustments}
        senders = {row["customer_id"]: row for row in quality}
        yield (
            store,
            {name: rows[id] for name, id in ids.items()},
            {name: senders[id] for name, id in advocates.items()},
        )


def test_reports_on_staff_and_referrals_equal_the_judge(found: Found) -> None:
    store, _, _ = found
    world = World.of(store)
    adjustments = judge_staff_and_referrals.adjustments(world)
    assert {row["is_large"] for row in adjustments.values()} == {True, False}
    assert {row["is_repeated"] for row in adjustments.values()} == {True, False}
    compare(store, "reports.rpt_manual_adjustments", ("event_id", "unit"), adjustments)
    quality = judge_staff_and_referrals.referral_quality(world)
    compare(store, "reports.rpt_referral_quality", ("customer_id",), quality)


def test_adjustment_is_an_outlier_by_size_or_as_the_third_in_90_days(found: Found) -> None:
    _, rows, _ = found
    outliers = {
        name: (row["is_large"], row["is_repeated"]) for name, row in rows.items() if row["is_outlier"]
    }
    assert outliers == {"large": (True, False), "third": (False, True)}
    assert rows["large"]["p99_amount"] < 5_000


def test_agent_key_is_one_per_staff_address(found: Found) -> None:
    _, rows, _ = found
    keys = {name: row["agent_key"] for name, row in rows.items()}
    assert keys["third"] == keys["large"] == keys["hidden"]
    assert keys["two_addresses"] != keys["third"]
    assert (keys["no_address"], keys["no_note"]) == (None, None)
    assert all(key is None or len(key) == len("agent-") + 8 for key in keys.values())


def test_reason_is_the_note_else_the_title(found: Found) -> None:
    _, rows, _ = found
    assert rows["large"]["reason"] == "Sorry for the wait"
    assert rows["revoked"]["reason"] == "Points adjusted"
    assert (rows["revoked"]["is_revoked"], rows["large"]["is_revoked"]) == (True, False)


def test_suspicious_advocates_have_one_of_three_signals(found: Found) -> None:
    _, _, rows = found
    signals = ("has_shared_ips", "has_many_blocked", "has_quick_single_orders")
    got = {name: [s for s in signals if row[s]] for name, row in rows.items() if row["is_suspicious"]}
    assert got == {
        "sharing": ["has_shared_ips"],
        "blocked": ["has_many_blocked"],
        "quick": ["has_quick_single_orders"],
    }


def test_referral_quality_is_null_where_rivo_sends_nothing(found: Found) -> None:
    _, _, rows = found
    assert (rows["timeless"]["completed"], rows["timeless"]["completed_within_a_day"]) == (1, None)
    assert (rows["unknown"]["completed_within_a_day"], rows["unknown"]["friends_with_second_order"]) == (
        3,
        None,
    )
    assert (rows["blocked"]["referrals_same_ip"], rows["blocked"]["same_ip_share"]) == (None, None)
    assert (rows["alone"]["referrals_with_ip"], rows["alone"]["referrals_same_ip"]) == (1, 0)


def test_staff_addresses_and_ips_are_only_in_raw_tables(found: Found) -> None:
    store, _, _ = found
    tables = store.dicts("select table_schema, table_name from information_schema.tables")
    seen: dict[str, set[str]] = {}
    for row in tables:
        name = f'{row["table_schema"]}."{row["table_name"]}"'
        text = repr(store.dicts(f"from {name}")).lower()
        for trace in ("@store.example", SHARED, OTHER):
            if trace in text:
                seen.setdefault(trace, set()).add(row["table_schema"])
    assert seen == {trace: {"rivo_raw"} for trace in ("@store.example", SHARED, OTHER)}
