"""The simulation of a programme: an agenda of actions, executed in order of time.

An action only appends to the history of rows, and random numbers come from a generator seeded with seed and day. So
simulating further never changes the past, and two simulations with the same options are equal, byte for byte.
"""

from __future__ import annotations

import gc
import heapq
from collections.abc import Callable
from random import Random
from typing import Any

from sandbox import catalogue
from sandbox.clock import DAY, HOUR, YEAR
from sandbox.options import ProgramOptions
from sandbox.rows import Attributes, Customer, Event, Redemption, Reward, Row

Action = Callable[..., None]

# First id and maximum random step, in addition to the FREE ids left unused for inserted rows.
# Ids of events exceed 2^32 within the default history.
IDS = {
    "customers": (7_198_630_248_648, 1_200_000),
    "points_events": (4_294_500_000, 20),
    "points_redemptions": (24_186_741, 400),
    "referrals": (3_310_220, 300),
}
FREE = 10

# Number of new entries after which existing objects are excluded from garbage collection.
_MANY = 100_000

# Sources of the entries that count towards a tier.
EARNING = frozenset(
    {
        "order_placed",
        "customer_member_enabled",
        "customer_birthday",
        "instagram_follow",
        "tiktok_follow",
        "facebook_like",
        "review_complete",
        "referral_complete",
        "vip_tier_upgrade",
        "custom_action",
        "visit_url",
        "gamification_spin",
    }
)

TITLES = {
    "order_placed": "Placed an order",
    "points_purchase": "Redeemed a Reward",
    "manual": "manual points adjustment",
    "import": "Imported balance",
    "points_expiration": "Points expired",
    "customer_member_enabled": "Created an account",
    "customer_birthday": "Happy birthday!",
    "review_complete": "Left a review",
    "referral_complete": "Referred a friend",
    "vip_tier_upgrade": "Reached a new tier",
    "custom_action": "Downloaded our app",
    "visit_url": "Read our story",
    "gamification_spin": "Spun the wheel",
}


class Simulation:
    """The programme's rows and planned actions. Actions are defined in `life`, `spending` and `staff`."""

    def __init__(self, options: ProgramOptions, begin: Callable[[Simulation, int], None]) -> None:
        self.options = options
        self.customers: list[Customer] = []
        self.by_id: dict[int, Customer] = {}
        self.events: list[Event] = []
        self.redemptions: list[Redemption] = []
        self.referrals: list[Row] = []
        self.small: dict[str, dict[str, Row]] = {}  # list -> key -> row
        self.present: dict[str, dict[str, Attributes]] = {}  # the same rows as they are now
        self.rules: dict[str, tuple[int, Attributes]] = {}  # the active ones by trigger
        self.ladder: list[tuple[int, int]] = []  # (threshold, tier id), ascending
        self.rng = Random()
        self.now = options.start_ms
        self._day = options.start_ms // DAY
        self._agenda: dict[int, list[tuple[int, int, Action, tuple[Any, ...]]]] = {}
        self._today: list[tuple[int, int, Action, tuple[Any, ...]]] = []
        self._count = 0
        self._ids = {name: first for name, (first, _) in IDS.items()}
        self._open_shop()
        self._start_day()
        begin(self, options.start_ms)

    # -- time ---------------------------------------------------------------------------------------

    def _start_day(self) -> None:
        self.rng = Random(f"{self.options.seed}:{self._day}")
        self._today = self._agenda.pop(self._day, [])
        heapq.heapify(self._today)

    def plan(self, at: int, action: Action, *args: Any) -> None:
        """Plan `action(simulation, at, *args)` for a moment, or for now if that is past."""
        at = max(int(at), self.now)
        self._count += 1
        entry = (at, self._count, action, args)
        if at // DAY <= self._day:
            heapq.heappush(self._today, entry)
        else:
            self._agenda.setdefault(at // DAY, []).append(entry)

    def soon(self, mean_days: float) -> int:
        """Return a random moment from now on, exponentially distributed."""
        return self.now + 1_000 + int(self.rng.expovariate(1.0) * mean_days * DAY)

    def run_through(self, t: int) -> None:
        """Execute every action planned up to and including a moment."""
        if t < self.now:
            return
        # Millions of small objects are created and none is freed: garbage collection would only scan them.
        collects, known = gc.isenabled(), len(self.events)
        gc.disable()
        try:
            self._run_through(t)
        finally:
            if len(self.events) - known > _MANY:
                gc.freeze()
            if collects:
                gc.enable()

    def _run_through(self, t: int) -> None:
        while True:
            today = self._today
            while today and today[0][0] <= t:
                self.now, _, action, args = heapq.heappop(today)
                action(self, self.now, *args)
            if (self._day + 1) * DAY > t:
                self.now = t
                return
            self._day += 1
            self._start_day()

    # -- the small lists ----------------------------------------------------------------------------

    def _open_shop(self) -> None:
        start, end = self.options.start_ms, self.options.end_ms
        for name, items in catalogue.items(self.options).items():
            self.small[name], self.present[name] = {}, {}
            for place, item in enumerate(items):
                at = start - 40 * DAY + place * HOUR
                if item.appears is None:
                    self._appear(name, item, at)
                else:
                    moment = start + int(item.appears * (end - start))
                    self.plan(moment, lambda sim, at, name, item: sim._appear(name, item, at), name, item)
        for change in catalogue.CHANGES:
            if change.key in self.small[change.list]:
                moment = start + int(change.share * (end - start))
                self.plan(moment, lambda sim, at, change: sim._alter(change, at), change)

    def _appear(self, name: str, item: catalogue.Item, at: int) -> None:
        attrs = {**item.attrs, "created_at": at, "updated_at": at}
        kind = Reward if name == "rewards" else Row
        self.small[name][item.key] = kind(item.id, at, attrs)
        self.present[name][item.key] = dict(attrs)
        self._look()

    def _alter(self, change: catalogue.Change, at: int) -> None:
        row, present = self.small[change.list][change.key], self.present[change.list]
        if change.attrs is None:
            row.gone_at = at
            del present[change.key]
        else:
            row.change(at, **change.attrs, updated_at=at)
            present[change.key] = {**present[change.key], **change.attrs, "updated_at": at}
        self._look()
        if change.list == "vip_tiers" and change.attrs and "threshold" in change.attrs:
            for customer in self.customers:
                self.review_tier(at, customer, may_fall=True)

    def _look(self) -> None:
        tiers = self.present.get("vip_tiers", {})
        self.ladder = sorted(
            (attrs["threshold"], self.small["vip_tiers"][key].id) for key, attrs in tiers.items()
        )
        rules = self.present.get("earning_rules", {})
        self.rules = {
            key: (self.small["earning_rules"][key].id, attrs)
            for key, attrs in rules.items()
            if attrs.get("status") == "active"
        }

    # -- rows ---------------------------------------------------------------------------------------

    def next_id(self, name: str) -> int:
        """Return the next id of a list, with at least FREE unused ids before it."""
        self._ids[name] += FREE + 1 + int(self.rng.random() * IDS[name][1])
        return self._ids[name]

    def reserve(self, name: str, id: int) -> None:
        """Let the next id of a list be greater than `id`."""
        if name in self._ids:
            self._ids[name] = max(self._ids[name], id)

    def move(self, at: int, customer: Customer, **state: Any) -> None:
        """Change a customer's state from now on."""
        customer.log.append(customer.log[-1]._replace(at=at, **state))

    def post(
        self, at: int, customer: Customer, source: str, points: int = 0, credits: int = 0, **attrs: Any
    ) -> Event:
        """Add a ledger entry and update tally (balance) and tier."""
        attrs["source"] = source
        attrs.setdefault("title", TITLES.get(source, source.replace("_", " ").capitalize()))
        applied_at = attrs.setdefault("applied_at", at)
        attrs.setdefault("approved_at", at)
        event = Event(self.next_id("points_events"), at, attrs, customer, points, credits)
        self.events.append(event)
        gains = points > 0 or credits > 0
        state: dict[str, Any] = {}
        if self._counts(event, at):
            event.counted = True
            now = customer.log[-1]
            state = {"points": now.points + points, "credits": now.credits + credits}
            if gains and source in EARNING:
                state["earned"] = now.earned + points
        if source not in ("points_expiration", "manual"):
            state["active_at"] = at
        if state:
            self.move(at, customer, **state)
        if gains:
            self._watch_expiry(at, customer)
        if source in EARNING and points:
            self._progress(customer, applied_at, points)
            if points < 0:
                self._plan_review(at, customer)
            self.review_tier(at, customer, may_fall=False)
        if applied_at > at:
            self.plan(applied_at, Simulation.settle, event)
        return event

    def settle(self, at: int, event: Event) -> None:
        """Add an entry to the tally or remove it, by the shop's rule at this moment."""
        counts = self._counts(event, at)
        if counts != event.counted:
            sign = 1 if counts else -1
            event.counted = counts
            now = event.customer.log[-1]
            self.move(
                at,
                event.customer,
                points=now.points + sign * event.points,
                credits=now.credits + sign * event.credits,
            )
            self._watch_expiry(at, event.customer)

    def _counts(self, event: Event, at: int) -> bool:
        rule = self.options.tally_rule
        if rule == "b" and event.changes is None:
            return True
        return counts(rule, event.as_of(at), at)

    def amend(self, at: int, event: Event, **attrs: Any) -> None:
        """Change a ledger entry (`revoked_at`, `hidden`, `approved_at`) and update the tally."""
        event.change(at, **attrs)
        self.settle(at, event)
        if "revoked_at" in attrs and event.attrs["source"] in EARNING and event.points:
            self._progress(event.customer, event.attrs["applied_at"], -event.points)
            self._plan_review(at, event.customer)

    def _watch_expiry(self, at: int, customer: Customer) -> None:
        if not customer.expiry_planned:
            customer.expiry_planned = True
            self.plan(at + YEAR + HOUR, Simulation.expire_points, customer)

    def expire_points(self, at: int, customer: Customer) -> None:
        """Action: expire points after twelve months without activity."""
        now = customer.now
        due = (now.active_at or at) + YEAR
        if due > at and now.points > 0:
            self.plan(due + HOUR, Simulation.expire_points, customer)
            return
        customer.expiry_planned = False
        if now.points > 0:
            self.post(at, customer, "points_expiration", -now.points)

    # -- tiers --------------------------------------------------------------------------------------

    def _progress(self, customer: Customer, applied_at: int, points: int) -> None:
        heapq.heappush(customer.earns, (applied_at, points))
        customer.progress += points

    def review_tier(self, at: int, customer: Customer, may_fall: bool) -> None:
        """Set a member's tier by the points earned in the last 365 days. Downgrades wait for the night."""
        if not self.ladder or not customer.is_member:
            return
        earns = customer.earns
        while earns and earns[0][0] <= at - YEAR:
            customer.progress -= heapq.heappop(earns)[1]
        rank = 0
        for threshold, _ in self.ladder:
            rank += threshold <= customer.progress
        tiers = [None, *(id for _, id in self.ladder)]
        held = tiers.index(customer.now.tier)
        if rank > held or (rank < held and may_fall):
            self.move(at, customer, tier=tiers[rank])
        if rank > max(held, customer.bonuses):
            customer.bonuses = rank
            self._pay_bonus(at, customer, rank)
        if rank:
            self._plan_review(earns[0][0] + YEAR, customer)

    def _pay_bonus(self, at: int, customer: Customer, rank: int) -> None:
        points = catalogue.TIER_BONUS[rank - 1]
        if points and "vip_tier_upgrade" in self.rules:
            rule = self.rules["vip_tier_upgrade"][0]
            self.post(at, customer, "vip_tier_upgrade", points, earning_rule_id=rule)

    def _plan_review(self, at: int, customer: Customer) -> None:
        # Downgrades happen at night, spread over four hours.
        night = (at // DAY + 1) * DAY + customer.id % (4 * HOUR)
        if customer.review_at is None or night < customer.review_at:
            customer.review_at = night
            self.plan(night, Simulation._nightly_review, customer)

    def _nightly_review(self, at: int, customer: Customer) -> None:
        if at == customer.review_at:  # otherwise an earlier review replaced this one
            customer.review_at = None
            self.review_tier(at, customer, may_fall=True)


def counts(rule: str, attrs: Attributes, at: int) -> bool:
    """Return whether an entry with these attributes counts towards a tally at a moment, under a rule."""
    revoked_at = attrs.get("revoked_at")
    if revoked_at is not None and revoked_at <= at:
        return False
    if rule != "b" and attrs.get("hidden"):
        return False
    if rule == "d":
        approved_at = attrs["approved_at"]
        return attrs["applied_at"] <= at and approved_at is not None and approved_at <= at
    return True
