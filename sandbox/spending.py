"""Actions of redemptions: claim, use, refund, revoke, expire."""

from __future__ import annotations

from typing import Any

from sandbox import people
from sandbox.clock import DAY
from sandbox.rows import Attributes, Customer, Redemption, Reward
from sandbox.simulation import Simulation

# Outcomes of codes: (share of the codes, mean days until then, action). The rest stay open.
FATES = (
    (0.62, 12.0, "used_at"),
    (0.04, 8.0, "revoked_at"),
    (0.04, 15.0, "refunded_at"),
)


def dollars(cents: int) -> str:
    """Format an amount for shoppers: `$25.50`, `$17`."""
    return f"${cents // 100}" if cents % 100 == 0 else f"${cents / 100:.2f}"


def _spend(sim: Simulation, customer: Customer, reward: Attributes) -> tuple[int, int]:
    """Return the price of a reward in points and in cents of credit; (0, 0) if the customer cannot afford it."""
    now, rng = customer.now, sim.rng
    source = reward.get("source", "points")
    if source == "credits":
        most = now.credits // 50
        return (0, 50 * int(1 + rng.random() * most)) if most >= 10 else (0, 0)
    price = reward["points_amount"]
    if source != "points" or now.points < price:
        return 0, 0
    if reward.get("points_type") == "incremental":
        most = min(now.points, reward["max_points_to_spend_value"]) - price
        return price + int(rng.random() * (most // 10 + 1)) * 10, 0
    return price, 0


def redeem(sim: Simulation, at: int, customer: Customer) -> None:
    """Claim a reward that the customer can afford."""
    if not customer.is_member:
        return
    offers = []
    for key, reward in sim.present["rewards"].items():
        if reward.get("enabled", True) and any(price := _spend(sim, customer, reward)):
            offers.append((key, reward, price))
    if not offers:
        return
    key, reward, (points, credits) = offers[int(sim.rng.random() * len(offers))]
    row = sim.small["rewards"][key]
    assert isinstance(row, Reward)
    redemption = _claim(sim, at, customer, row, reward, points, credits)
    row.claims.append(at)
    entry = sim.post(
        at,
        customer,
        "points_purchase",
        -points,
        -credits,
        points_purchases_id=redemption.id,
        sourceable_id=redemption.id,
        occurred_at=at,
    )
    redemption.entry = entry
    if reward["reward_type"] == "points_to_credit":
        sim.move(at, customer, remote_at=at)
        sim.post(
            at,
            customer,
            "custom_action",
            0,
            int(reward["reward_value"] * 100),
            title="Store credit from points",
            custom_action_name="points_to_credit",
            sourceable_id=redemption.id,
        )
        return
    _plan_fate(sim, redemption)


def _claim(
    sim: Simulation, at: int, customer: Customer, row: Reward, reward: Attributes, points: int, credits: int
) -> Redemption:
    rng = sim.rng
    attrs: dict[str, Any] = {
        "code": people.code(rng, "REDEEM-"),
        "name": reward["name"],
        "points_amount": points,
        "points_diff": -points,
        "credits": credits,
        "applied_at": at,
        "source": reward.get("source", "points"),
    }
    if reward.get("points_type") == "incremental":
        # Value of an incremental reward: reward_value x spent / points_amount.
        spent = points * 100 if points else credits
        attrs["name"] = f"{dollars(int(reward['reward_value'] * spent / reward['points_amount']))} off coupon"
    if reward["reward_type"] == "points_to_credit":
        attrs["formatted_store_credit_amount"] = dollars(int(reward["reward_value"] * 100))
        attrs["used_at"] = at
    if reward.get("expiry_months"):
        attrs["expires_at"] = at + 30 * DAY * reward["expiry_months"]
    redemption = Redemption(sim.next_id("points_redemptions"), at, attrs, customer, row.id, reward)
    sim.redemptions.append(redemption)
    return redemption


def _plan_fate(sim: Simulation, redemption: Redemption) -> None:
    chance = sim.rng.random()
    for share, days, fate in FATES:
        chance -= share
        if chance < 0:
            moment = sim.soon(days)
            if moment < redemption.attrs.get("expires_at", moment + 1):
                sim.plan(moment, use if fate != "revoked_at" else give_back, redemption, fate)
            return


def use(sim: Simulation, at: int, redemption: Redemption, fate: str) -> None:
    """Use the code in an order; some of these orders are refunded later."""
    redemption.change(at, used_at=at)
    if fate == "refunded_at":
        sim.plan(sim.soon(15), give_back, redemption, fate)


def give_back(sim: Simulation, at: int, redemption: Redemption, fate: str) -> None:
    """Undo a redemption: add an opposite ledger entry, or revoke the original one."""
    redemption.change(at, **{fate: at})
    entry = redemption.entry
    assert entry is not None
    if sim.rng.random() < 0.4:
        sim.amend(at, entry, revoked_at=at)
        return
    sim.post(
        at,
        redemption.customer,
        "points_purchase",
        -entry.points,
        -entry.credits,
        title="Refunded a Reward",
        points_purchases_id=redemption.id,
        sourceable_id=redemption.id,
    )
