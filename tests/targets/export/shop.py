"""A small shop in which much happens, synced over four weeks by the runner: what engines must agree with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.warehouse import Build
from sandbox import Event, Program, ProgramOptions
from sandbox.clock import iso, to_ms
from sandbox.webhooks import events_between
from tests.dbt_like_sql.models.stores import STATES, open_observed_store
from tests.harness.actions import carry_out, fixed_reward, from_csv, people
from tests.harness.deliveries import keep
from tests.harness.prepared import prepare_once
from tests.harness.store import Store

TIMEZONE = "America/New_York"
LONG_AGO = datetime(2026, 6, 20, 5, tzinfo=UTC)
WEEKS = tuple(datetime(2026, 10, 19, 5, tzinfo=UTC) + timedelta(weeks=week) for week in range(4))
"""At 01:00 of the local day, and at midnight after the clocks went back on 1 November."""
BRONZE, SILVER = 552_270, 552_288

ODD_TEXTS = """
update rivo_raw.customers set points_expire_at = case id % 7
    when 0 then 'September 30, 2027' when 1 then 'Feb 30, 2027' when 2 then 'soon' when 3 then ''
    when 4 then 'may 5, 2027'
    else points_expire_at end;
update rivo_raw.customers_history set points_expire_at = 'Sept 3, 2027' where id % 11 = 0;
update rivo_raw.points_events set sourceable_id = 'gid://shopify/Order/1' where id % 5 = 0;
update rivo_raw.points_events set internal_note = 'given by Zoë.O''Neil+vip@example.co.uk, ok' where id % 9 = 0;
create temp table spent as
    select customer_id, sum(abs(credits_amount)) as credits from rivo_raw.points_events
    where source = 'points_purchase' and credits_amount <> 0 group by customer_id;
update rivo_raw.customers set credits_tally = credits_tally + 2 * spent.credits from spent where id = spent.customer_id;
update rivo_raw.customers_history set credits_tally = credits_tally + 2 * spent.credits from spent
    where id = spent.customer_id and valid_to is null;
drop table spent;
update rivo_raw.points_redemptions
    set reward = '{"name": "A \\"quoted\\" one", "reward_value": "7.50001", "points_amount": "1e3"}'
    where id % 6 = 0;
"""
"""Values that Rivo may send and simulations do not: dates without a day, ids that are texts, numbers in other forms."""


def shop_file(factory: pytest.TempPathFactory) -> Path:
    """Return the published file of the shop. No test may change it."""
    return prepare_once(factory, "export_shop", _make) / "shop.duckdb"


def _make(folder: Path) -> None:
    program = Program(ProgramOptions(seed=23, customers=70, months=13, end=WEEKS[-1]))
    _disturb(program)
    with open_observed_store(program, folder, TIMEZONE) as store:
        store.options["settle_seconds"] = 0.0
        store.sync(at=LONG_AGO)
        store.sync(*STATES, at=WEEKS[0])
        store.sync(*STATES, at=WEEKS[1], faults=["http_500:vip_tiers=1"])
        store.sync(at=WEEKS[2])
        _act(store)
        keep(store.path, store.settings, [*events_between(program, WEEKS[2], WEEKS[3]), *_announced(store)])
        store.sync(at=WEEKS[3])
        store.build(prepare=_change)


def _change(work: Build) -> None:
    work.connection.execute(ODD_TEXTS)


def _disturb(program: Program) -> None:
    """Let customers vanish and return, tiers be renamed and removed, and an event be revoked and booked late."""
    ids = [row["id"] for row in program.snapshot(WEEKS[0])["customers"]]
    before, after = WEEKS[1] - timedelta(days=1), WEEKS[2] - timedelta(days=1)
    for id in ids[3:6]:
        program.remove("customers", id, at=before)
    program.restore("customers", ids[3], at=after)
    program.override("customers", ids[6], at=before, loyalty_status="guest")
    program.override("vip_tiers", SILVER, at=before, name="Sterling")
    program.remove("vip_tiers", BRONZE, at=after)
    events = program.snapshot(WEEKS[0])["points_events"]
    bought = [row["id"] for row in events if row["attributes"]["source"] == "order_placed"]
    program.override("points_events", bought[-1], at=after, revoked_at=after)
    late = {"customer": {"id": ids[7]}, "points_diff": 70, "applied_at": WEEKS[0] + timedelta(days=1)}
    program.insert("points_events", late, at=after)


def _announced(store: Store) -> list[Event]:
    """Return announcements of tiers: those held, and for every third customer another one."""
    events = []
    for number, row in enumerate(people(store)[:12]):
        tier = (row["vip_tier"] or {}).get("id") if number % 3 else SILVER
        at = iso(to_ms(WEEKS[number % 2 + 1] + timedelta(hours=number)))
        body = {"vip_tier_id": tier, "started_at": at, "customer": {"id": row["id"]}}
        events.append(Event("customer_vip_tier/upgraded", body, f"announced-{number}"))
    return events


def _act(store: Store) -> None:
    members = [row["id"] for row in people(store)][:3]
    points = [{"customer_id": id, "points_amount": 40} for id in members]
    carry_out(store, from_csv(store, "add_points", points))
    rewards = [{"customer_id": members[0], "reward_id": fixed_reward(store)}]
    carry_out(store, from_csv(store, "redeem_reward", rewards, name="rewards.csv"))
