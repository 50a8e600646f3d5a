"""The store's answers as plain facts, and the definitions that all judges share. No SQL, only loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import wraps
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from tests.harness.store import Observation, Store

Attributes = dict[str, Any]
T = TypeVar("T")


class State(NamedTuple):
    """A customer's state: 'not_member', 'no_tier', or 'tier' with the tier's id."""

    kind: str
    tier_id: int | None = None


NOT_MEMBER, NO_TIER = State("not_member"), State("no_tier")


class Period(NamedTuple):
    """A period inside history: local days, the instants compared, and whether it is over."""

    kind: str
    first_day: date
    last_day: date
    starts_at: datetime
    ends_at: datetime
    is_complete: bool


class Event(NamedTuple):
    """A row of the points ledger."""

    id: int
    customer_id: int
    points: int
    credits: Decimal
    at: datetime
    revoked_at: datetime | None
    source: str
    rule_id: int | None
    redemption_id: int | None
    hidden: bool
    approved_at: datetime | None
    expires_at: datetime | None
    sourceable_id: int | None


class Code(NamedTuple):
    """A redemption, with the reward as it was when it was claimed."""

    id: int
    customer_id: int
    reward_id: int
    reward: Attributes
    points: int
    credits: Decimal
    claimed_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    refunded_at: datetime | None
    revoked_at: datetime | None

    @property
    def stands(self) -> bool:
        """Whether it is neither revoked nor refunded, as known now."""
        return self.revoked_at is None and self.refunded_at is None


def moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def certain(value: datetime | None) -> datetime:
    assert value is not None
    return value


class Referral(NamedTuple):
    """A referral; advocate and friend are found by id, else by email address."""

    id: int
    status: str
    created_at: datetime
    completed_at: datetime | None
    changed_at: datetime | None
    advocate_id: int | None
    friend_id: int | None


def month_of(day: date) -> date:
    return day.replace(day=1)


@dataclass
class World:
    """All that the API showed: every observation of the customers, and all lists at the last one."""

    observations: list[Observation]
    zone: ZoneInfo
    rule: str = "b"
    """The rule by which the shop's tallies are counted: see sandbox.ProgramOptions."""
    events: list[Event] = field(init=False)
    codes: list[Code] = field(init=False)
    referrals: list[Referral] = field(init=False)
    people: dict[int, Attributes] = field(init=False)
    """Every customer ever seen, as last seen."""
    present: set[int] = field(init=False)
    """The customers listed at the last observation."""
    _states: dict[datetime, dict[int, State]] = field(init=False)
    answers: dict[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict)
    """Results of `once`, by the function that computed them."""

    def __post_init__(self) -> None:
        last = self.observations[-1].lists
        self.events = [_event(row) for row in last["points_events"]]
        self.codes = [_code(row) for row in last["points_redemptions"]]
        self.people = {
            row["id"]: row["attributes"] for seen in self.observations for row in seen.lists["customers"]
        }
        self.present = {row["id"] for row in last["customers"]}
        addresses = {attrs["email"].lower(): id for id, attrs in self.people.items()}
        self.referrals = [_referral(row, addresses) for row in last["referrals"]]
        self._states = {
            seen.at: {row["id"]: _state(row["attributes"]) for row in seen.lists["customers"]}
            for seen in self.observations
        }

    @classmethod
    def of(cls, store: Store) -> World:
        return cls(store.observations, ZoneInfo(store.settings.timezone), store.program.options.tally_rule)

    # -- time ---------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.observations[-1].at

    @property
    def beginning(self) -> datetime:
        return self.observations[0].at

    def day(self, at: datetime) -> date:
        """Return the shop's local day of a moment."""
        return at.astimezone(self.zone).date()

    def midnight(self, day: date) -> datetime:
        """Return the first instant of a local day."""
        return datetime.combine(day, time(0), self.zone).astimezone(UTC)

    def days(self) -> Iterator[date]:
        """Every local day in history."""
        day = self.day(self.beginning)
        while day <= self.day(self.now):
            yield day
            day += timedelta(days=1)

    def periods(self) -> list[Period]:
        """Return the weeks, months and quarters that begin within history, and all of history."""
        found = []
        for day in self.days():
            starts_at = self.midnight(day)
            if starts_at < self.beginning or starts_at > self.now:
                continue
            for kind, after in _periods_that_begin_on(day):
                ends_at = self.midnight(after)
                found.append(
                    Period(
                        kind,
                        day,
                        after - timedelta(days=1),
                        starts_at,
                        min(ends_at, self.now),
                        ends_at <= self.now,
                    )
                )
        first, last = self.day(self.beginning), self.day(self.now)
        found.append(Period("to_date", first, last, self.beginning, self.now, False))
        return found

    # -- tiers --------------------------------------------------------------------------------------

    def states_at(self, at: datetime) -> dict[int, State]:
        """Return each customer's state by the last observation at or before a moment."""
        times = [seen.at for seen in self.observations if seen.at <= at]
        return self._states[times[-1]] if times else {}

    def thresholds_on(self, seen: Observation) -> dict[int, Any]:
        """Return the thresholds of the tiers in an observation."""
        return {row["id"]: row["attributes"]["threshold"] for row in seen.lists["vip_tiers"]}

    def thresholds_at(self, at: datetime) -> dict[int, Any]:
        """Return the thresholds of all tiers known by a moment; for removed tiers the last one."""
        known: dict[int, Any] = {}
        for seen in self.observations:
            if seen.at <= at:
                known |= self.thresholds_on(seen)
        return known

    def state_name(self, state: State) -> str:
        """Return a state as reports show it: tiers by their present or last known name."""
        if state.tier_id is None:
            return state.kind
        names = {
            row["id"]: row["attributes"]["name"]
            for seen in self.observations
            for row in seen.lists["vip_tiers"]
        }
        return str(names[state.tier_id])

    def direction(self, before: State, after: State, at: datetime) -> str:
        """Return the direction of a move, by the thresholds known at a moment."""
        if before == NOT_MEMBER:
            return "enter"
        if after == NOT_MEMBER:
            return "leave"
        thresholds = self.thresholds_at(at)
        low, high = (-1 if s.tier_id is None else thresholds[s.tier_id] for s in (before, after))
        return "upgrade" if low < high else "downgrade" if low > high else "lateral"


def _periods_that_begin_on(day: date) -> Iterator[tuple[str, date]]:
    if day.weekday() == 0:
        yield "week", day + timedelta(days=7)
    if day.day == 1:
        yield "month", months_later(day, 1)
        if day.month in (1, 4, 7, 10):
            yield "quarter", months_later(day, 3)


def months_later(day: date, months: int) -> date:
    count = day.year * 12 + day.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)


def _state(customer: Attributes) -> State:
    if customer["loyalty_status"] != "member":
        return NOT_MEMBER
    tier = customer["vip_tier"]
    return NO_TIER if tier is None else State("tier", tier["id"])


def _event(row: Attributes) -> Event:
    attrs = row["attributes"]
    if attrs.get("credits_diff") is not None:
        credits = Decimal(attrs["credits_diff"])
    else:
        sign = -1 if attrs["source"] == "points_purchase" else 1
        credits = sign * Decimal(attrs.get("credits_amount") or 0)
    return Event(
        id=row["id"],
        customer_id=attrs["customer"]["id"],
        points=attrs["points_diff"],
        credits=credits,
        at=certain(moment(attrs.get("applied_at") or attrs.get("occurred_at"))),
        revoked_at=moment(attrs.get("revoked_at")),
        source=attrs["source"],
        rule_id=attrs.get("earning_rule_id"),
        redemption_id=attrs.get("points_purchases_id"),
        hidden=bool(attrs.get("hidden")),
        approved_at=moment(attrs.get("approved_at")),
        expires_at=moment(attrs.get("per_event_expiration_at") or attrs.get("expires_at")),
        sourceable_id=attrs.get("sourceable_id"),
    )


def _code(row: Attributes) -> Code:
    attrs = row["attributes"]
    return Code(
        id=row["id"],
        customer_id=attrs["customer"]["id"],
        reward_id=attrs["reward_id"],
        reward=attrs["reward"],
        points=attrs["points_amount"],
        credits=Decimal(attrs["credits_amount"]),
        claimed_at=certain(moment(attrs["applied_at"])),
        expires_at=moment(attrs["expires_at"]),
        used_at=moment(attrs["used_at"]),
        refunded_at=moment(attrs["refunded_at"]),
        revoked_at=moment(attrs["revoked_at"]),
    )


def _referral(row: Attributes, addresses: dict[str, int]) -> Referral:
    attrs = row["attributes"]
    return Referral(
        id=row["id"],
        status=attrs["status"],
        created_at=certain(moment(attrs["created_at"])),
        completed_at=moment(attrs.get("completed_at")),
        changed_at=moment(attrs.get("status_last_changed_at")),
        advocate_id=attrs.get("referrer_customer_id")
        or addresses.get((attrs["advocate_email"] or "").lower()),
        friend_id=attrs.get("referred_customer_id") or addresses.get((attrs["referred_email"] or "").lower()),
    )


def once(judge: Callable[[World], T]) -> Callable[[World], T]:
    """Keep the result of a function for each world, since many judges build on it. No caller may change the result."""

    @wraps(judge)
    def kept(world: World) -> T:
        name = f"{judge.__module__}.{judge.__qualname__}"
        if name not in world.answers:
            world.answers[name] = judge(world)
        found: T = world.answers[name]
        return found

    return kept
