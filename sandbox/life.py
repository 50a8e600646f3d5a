"""Actions of customers other than spending points: arrive, join, buy, review, refer, become inactive.

Every function here is an action: `action(simulation, at, ...)`.
"""

from __future__ import annotations

from typing import Any

from sandbox import people, spending, staff
from sandbox.clock import DAY, HOUR, MINUTE, SECOND, YEAR, iso
from sandbox.rows import Customer, Event, Row
from sandbox.simulation import Simulation

SOCIAL = ("instagram_follow", "tiktok_follow", "facebook_like", "custom_action", "visit_url")


def begin(sim: Simulation, at: int) -> None:
    """Open the programme with its founders, some of them with a balance from a previous app."""
    options = sim.options
    for _ in range(people.founders(options)):
        customer = _create(sim, at, is_founder=True)
        if sim.rng.random() < 0.75:
            sim.plan(at + int(sim.rng.random() * HOUR), enrol, customer)
    _plan_arrival(sim, 1)
    if options.customers:
        sim.plan(at + DAY, staff.workday)


def _plan_arrival(sim: Simulation, place: int) -> None:
    moment = people.arrival(sim.options, place)
    if moment is not None:
        sim.plan(moment, arrive, place)


def arrive(sim: Simulation, at: int, place: int) -> None:
    """Create a new customer, as Shopify reports it."""
    _plan_arrival(sim, place + 1)
    rng = sim.rng
    customer = _create(sim, at, is_founder=False)
    if rng.random() < 0.45:
        claim_referral(sim, at, customer)
    chance = rng.random()
    if chance < 0.45:
        sim.plan(at + int(5 * SECOND + rng.random() * 10 * MINUTE), join, customer)
    elif chance < 0.75:
        sim.plan(sim.soon(5), join, customer)


def _create(sim: Simulation, at: int, is_founder: bool) -> Customer:
    customer = people.person(sim.rng, sim.next_id("customers"), at, is_founder)
    sim.customers.append(customer)
    sim.by_id[customer.id] = customer
    first = sim.soon(0.5 if not is_founder else 0.7 / customer.rate)
    sim.plan(first, order, customer)
    return customer


def enrol(sim: Simulation, at: int, customer: Customer) -> None:
    """Import a founder from the previous app, usually with a balance."""
    rng = sim.rng
    since = at - int(rng.random() * 300 * DAY)
    sim.move(at, customer, status="member", status_at=since // 1000 * 1000)
    if rng.random() < 0.8:
        balance = int(rng.lognormvariate(5.2, 0.9)) + 1
        # Inactivity in the previous app counts towards the expiry of points.
        customer.expiry_planned = True
        sim.plan(since + YEAR + HOUR, Simulation.expire_points, customer)
        _earn_raw(sim, at, customer, "import", balance, applied_at=since // 1000 * 1000)
        sim.move(at, customer, active_at=since)
    _settle_in(sim, customer)


def join(sim: Simulation, at: int, customer: Customer) -> None:
    """Make a guest a member."""
    if customer.is_member:
        return
    sim.move(at, customer, status="member", status_at=at)
    rule = sim.rules["customer_member_enabled"][0]
    if rule not in customer.now.done:
        earn(sim, at, customer, "customer_member_enabled")
        _settle_in(sim, customer)
    sim.review_tier(at, customer, may_fall=True)


def _settle_in(sim: Simulation, customer: Customer) -> None:
    rng = sim.rng
    for action in SOCIAL:
        if rng.random() < 0.22:
            sim.plan(sim.soon(25), follow, customer, action)
    if rng.random() < 0.45:
        sim.plan(sim.soon(20), tell_birthday, customer)
    if rng.random() < 0.05:
        sim.plan(sim.soon(200), opt_out, customer)


def opt_out(sim: Simulation, at: int, customer: Customer) -> None:
    """Let a member leave the programme; a few return. The balance is kept."""
    if not customer.is_member:
        return
    status = "guest" if sim.rng.random() < 0.6 else "excluded"
    sim.move(at, customer, status=status, status_at=at, tier=None)
    if sim.rng.random() < 0.3:
        sim.plan(sim.soon(60), join, customer)


def _earn_raw(
    sim: Simulation, at: int, customer: Customer, source: str, amount: int, **attrs: Any
) -> Event | None:
    # In a shop with credits only, one point is one cent.
    if not amount:
        return None
    if sim.options.credits_only:
        return sim.post(at, customer, source, 0, amount, **attrs)
    return sim.post(at, customer, source, amount, 0, **attrs)


def earn(
    sim: Simulation, at: int, customer: Customer, trigger: str, times: int = 1, **attrs: Any
) -> Event | None:
    """Earn by an earning rule, if the rule is active and the customer is a member."""
    if not customer.is_member or trigger not in sim.rules:
        return None
    id, rule = sim.rules[trigger]
    if trigger not in ("order_placed", "review_complete", "referral_complete", "customer_birthday"):
        sim.move(at, customer, done=(*customer.now.done, id))
    if rule.get("custom_action_name"):
        attrs["custom_action_name"] = rule["custom_action_name"]
    return _earn_raw(sim, at, customer, trigger, rule["points_amount"] * times, earning_rule_id=id, **attrs)


def follow(sim: Simulation, at: int, customer: Customer, trigger: str) -> None:
    """Earn for a follow, like, visit or app download, once each."""
    if trigger in sim.rules and sim.rules[trigger][0] not in customer.now.done:
        event = earn(sim, at, customer, trigger)
        if event and sim.rng.random() < 0.06:
            sim.plan(sim.soon(20), staff.hide, event)


def tell_birthday(sim: Simulation, at: int, customer: Customer) -> None:
    """Save a member's birthday, which earns points every year from then on."""
    moment = at + int(sim.rng.random() * YEAR)
    sim.move(at, customer, dob=iso(moment)[5:10], dob_at=at)
    sim.plan(moment, birthday, customer)


def birthday(sim: Simulation, at: int, customer: Customer) -> None:
    """Give birthday points, which expire after ninety days."""
    sim.plan(at + YEAR, birthday, customer)
    until = at + 90 * DAY
    event = earn(sim, at, customer, "customer_birthday", expires_at=until, per_event_expiration_at=until)
    if event and event.points:
        sim.plan(until, expire_entry, event)


def expire_entry(sim: Simulation, at: int, event: Event) -> None:
    """Expire points with their own expiry date, as far as they are not spent."""
    left = min(event.points, event.customer.now.points)
    if left > 0 and event.counted:
        sim.post(at, event.customer, "points_expiration", -left, sourceable_id=event.id)


def order(sim: Simulation, at: int, customer: Customer) -> None:
    """Place an order or skip it, then plan the next one."""
    rng = sim.rng
    if at > customer.lapses_at:
        if rng.random() < 0.15:  # a few return after a long time
            customer.lapses_at = at + YEAR // 2
            sim.plan(sim.soon(150), order, customer)
        return
    sim.plan(sim.soon(0.6 / customer.rate), order, customer)
    if customer.now.orders and rng.random() > people.season(at):
        return
    placed_at = at // 1000 * 1000
    amount = int(rng.lognormvariate(8.5, 0.6)) + 500
    now = customer.now
    sim.move(at, customer, orders=now.orders + 1, spent=now.spent + amount, remote_at=placed_at)
    if not customer.is_member:
        if rng.random() < 0.15:
            sim.plan(sim.soon(1), join, customer)
        return
    sim.plan(at + int((1 + 9 * rng.random()) * SECOND), reward_order, customer, placed_at, amount)


def reward_order(sim: Simulation, at: int, customer: Customer, placed_at: int, amount: int) -> None:
    """Earn points for an order and plan what may follow: review, refund, redemption."""
    rng = sim.rng
    attrs: dict[str, Any] = {"order_id": 5_600_000_000_000 + int(rng.random() * 10**11)}
    attrs |= {"applied_at": placed_at, "occurred_at": placed_at, "sourceable_id": attrs["order_id"]}
    pending = rng.random() < 0.2
    if pending:
        attrs["approved_at"] = None
    event = earn(sim, at, customer, "order_placed", amount // 100, **attrs)
    if event is None:
        return
    if pending:
        sim.plan(at + 14 * DAY, approve, event)
    chance = rng.random()
    if chance < 0.07:
        late = rng.random() < 0.2
        sim.plan(sim.soon(12) + (65 * DAY if late else 0), refund_order, event, amount)
    elif chance < 0.35:
        sim.plan(sim.soon(12) + 4 * DAY, review, customer)
    if rng.random() < 0.08:
        refer(sim, at, customer)
    if rng.random() < customer.redeems:
        sim.plan(sim.soon(12), spending.redeem, customer)
    if sim.options.unknown_source and rng.random() < 0.1:
        _earn_raw(sim, at, customer, "gamification_spin", 15)


def review(sim: Simulation, at: int, customer: Customer) -> None:
    """Write a review of a product."""
    earn(sim, at, customer, "review_complete", occurred_at=at)


def approve(sim: Simulation, at: int, event: Event) -> None:
    """Approve the points of an order after its pending period."""
    if "revoked_at" not in event.as_of(at):
        sim.amend(at, event, approved_at=at)


def refund_order(sim: Simulation, at: int, event: Event, amount: int) -> None:
    """Refund an order, wholly or in part: revoke its ledger entry or add an opposite one."""
    customer, rng = event.customer, sim.rng
    share = 1.0 if rng.random() < 0.7 else 0.5
    sim.move(
        at, customer, spent=max(0, customer.now.spent - int(amount * share)), remote_at=at // 1000 * 1000
    )
    if rng.random() < 0.5 or event.attrs["approved_at"] is None:
        sim.amend(at, event, revoked_at=at)
        return
    total = event.points or event.credits
    _earn_raw(
        sim,
        at,
        customer,
        "order_placed",
        -max(1, int(total * share)),
        title="Order refunded",
        order_id=event.attrs["order_id"],
        earning_rule_id=event.attrs["earning_rule_id"],
        occurred_at=at // 1000 * 1000,
    )


# -- referrals ----------------------------------------------------------------------------------------


def refer(sim: Simulation, at: int, customer: Customer) -> None:
    """Send an invitation from a member to a friend."""
    attrs = {"status": "unclaimed", "created_at": at, "updated_at": at}
    attrs |= {"advocate_email": customer.email, "referrer_customer_id": customer.id}
    attrs |= {"referrer_customer": {"id": customer.id, "email": customer.email}}
    attrs |= {"visitor_token": people.code(sim.rng), "signup_ip": _signup_ip(sim, customer)}
    sim.referrals.append(Row(sim.next_id("referrals"), at, attrs))
    if sim.rng.random() < 0.07:
        sim.plan(sim.soon(2), end_referral, sim.referrals[-1], "blocked", "same_ip")


def _signup_ip(sim: Simulation, advocate: Customer) -> str:
    """Return the address from which a friend opens the link. A few advocates open all of theirs themselves."""
    other = int(sim.rng.random() * 254) + 1
    if advocate.id % 12 == 0:
        return f"198.51.100.{advocate.id // 12 % 254 + 1}"
    return f"203.0.113.{other}"


def _progress(at: int, row: Row, status: str, **attrs: Any) -> None:
    row.change(at, status=status, status_last_changed_at=at, updated_at=at, **attrs)


def end_referral(_: Simulation, at: int, row: Row, status: str, reason: str) -> None:
    """End a referral without success."""
    if row.as_of(at)["status"] not in ("completed", "blocked"):
        _progress(at, row, status, block_reason=reason)


def claim_referral(sim: Simulation, at: int, customer: Customer) -> None:
    """Let a new customer claim one of the latest invitations."""
    recent = sim.referrals[-40:]
    if not recent:
        return
    row = recent[int(sim.rng.random() * len(recent))]
    attrs = row.as_of(at)
    if attrs["status"] != "unclaimed" or attrs["referrer_customer_id"] == customer.id:
        return
    friend = {"id": customer.id, "email": customer.email}
    _progress(
        at,
        row,
        "pending",
        claimed_at=at,
        referred_email=customer.email,
        referred_customer_id=customer.id,
        referred_customer=friend,
        referred_discount_code=people.code(sim.rng, "FRIEND-"),
    )
    chance = sim.rng.random()
    if chance < 0.6:
        sim.plan(sim.soon(15), complete_referral, row)
    elif chance < 0.75:
        sim.plan(sim.soon(20), end_referral, row, "ineligible", "existing_customer")


def complete_referral(sim: Simulation, at: int, row: Row) -> None:
    """Complete a referral: the friend buys and the advocate earns points."""
    attrs = row.as_of(at)
    if attrs["status"] != "pending":
        return
    order_id = 5_600_000_000_000 + int(sim.rng.random() * 10**11)
    _progress(
        at,
        row,
        "completed",
        completed_at=at,
        referred_order_id=order_id,
        referred_discount_code_used_at=at,
        advocate_reward_status="sent",
    )
    advocate = sim.by_id[attrs["referrer_customer_id"]]
    earn(sim, at, advocate, "referral_complete", sourceable_id=row.id)
