"""Decides for each row whether it is sent: what was already done, who must not get it, which limits bind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from pipelines.actions.entries import OPEN, SENDABLE, Entry, Spent
from pipelines.actions.kinds import Kind
from pipelines.actions.parameters import ActionRow, Invalid

Decision = Literal["ready", "done", "open", "left_out", "held_back"]


@dataclass(frozen=True)
class Limits:
    """The most that an action may send at once, or on one day of the shop. None is no limit."""

    max_rows: int | None = None
    max_points: int | None = None
    max_value: Decimal | None = None
    """In the shop's currency."""


@dataclass(frozen=True)
class Member:
    """What is known of a customer: from the warehouse when planning, from Rivo before sending."""

    status: str | None
    points: int | None
    credits: Decimal | None = None
    is_deleted: bool = False

    def after(self, action: ActionRow) -> Member:
        """Return the member with the balances after an action that adds or takes."""
        points = None if self.points is None else self.points + action.points
        return replace(
            self, points=points, credits=None if self.credits is None else self.credits + action.credits
        )


@dataclass(frozen=True)
class PlannedRow:
    """A row of a plan, and what is decided about it.

    Attributes:
        position: number of the row, from 1.
        decision: 'ready' to be sent; 'done' before; 'open': its outcome is unknown; 'left_out' for a reason in the
            row or the customer; 'held_back' by a limit.
        action: the action; None if the row is not valid.
        reason: why it is not ready; empty if it is.
        value: what it costs in the shop's currency; None if unknown.
    """

    position: int
    decision: Decision
    action: ActionRow | None
    reason: str = ""
    value: Decimal | None = None


@dataclass(frozen=True)
class ActionPlan:
    """What would be sent now, and what would not."""

    name: str
    kind: Kind
    rows: list[PlannedRow]
    limits: Mapping[str, Limits]
    bound: tuple[str, ...] = field(default=())
    """The limits that hold rows back, such as "per_day max_points 5,000"."""

    @property
    def ready(self) -> list[PlannedRow]:
        """The rows to send."""
        return [row for row in self.rows if row.decision == "ready"]

    def count(self, decision: Decision) -> int:
        """Return the number of rows with a decision."""
        return sum(row.decision == decision for row in self.rows)

    @property
    def points(self) -> int:
        """Points of the rows to send; taken points are negative."""
        return sum(row.action.points for row in self.ready if row.action)

    @property
    def credits(self) -> Decimal:
        """Store credits of the rows to send."""
        return sum((row.action.credits for row in self.ready if row.action), Decimal(0))

    @property
    def value(self) -> Decimal | None:
        """What the rows to send cost in the shop's currency; None if that of one is unknown."""
        values = [row.value for row in self.ready]
        return None if None in values else sum((value for value in values if value is not None), Decimal(0))


@dataclass
class _Budget:
    """The limits of a scope and what is used of them."""

    scope: str
    limits: Limits
    spent: Spent

    def refuses(self, action: ActionRow, value: Decimal | None) -> str | None:
        """Return the limit that the action would exceed."""
        if self.limits.max_value is not None and value is None:
            return f"{self.scope} max_value {self.limits.max_value:,}, and the value of this row is unknown"
        after = self._with(action, value)
        for name, used, most in (
            ("max_rows", after.rows, self.limits.max_rows),
            ("max_points", after.points, self.limits.max_points),
            ("max_value", after.value, self.limits.max_value),
        ):
            if most is not None and used > most:
                return f"{self.scope} {name} {most:,}"
        return None

    def take(self, action: ActionRow, value: Decimal | None) -> None:
        self.spent = self._with(action, value)

    def _with(self, action: ActionRow, value: Decimal | None) -> Spent:
        spent = self.spent
        return Spent(
            spent.rows + 1, spent.points + abs(action.points), spent.value + abs(value or Decimal(0))
        )


def make_plan(
    name: str,
    kind: Kind,
    rows: Iterable[ActionRow | Invalid],
    *,
    known: Mapping[str, Entry],
    members: Mapping[int, Member],
    value_of: Callable[[ActionRow], Decimal | None],
    limits: Mapping[str, Limits],
    spent_today: Spent,
    allow_negative: bool = False,
    retry_refused: bool = False,
) -> ActionPlan:
    """Decide about each row, in order, so that limits hold back the last ones.

    Args:
        name: name of the action.
        kind: its kind.
        rows: the valid rows and the others.
        known: the entries of the outbox by key.
        members: the customers by id.
        value_of: returns what an action costs in the shop's currency, None if unknown.
        limits: by scope: 'per_run', 'per_day'.
        spent_today: what was sent today.
        allow_negative: whether a balance may become negative.
        retry_refused: whether to send again what Rivo refused.
    """
    nothing = Spent(0, 0, Decimal(0))
    budgets = [
        _Budget(scope, limit, spent_today if scope == "per_day" else nothing)
        for scope, limit in limits.items()
    ]
    seen: dict[str, int] = {}
    members = dict(members)
    planned: list[PlannedRow] = []
    bound: dict[str, None] = {}
    for position, row in enumerate(rows, 1):
        if isinstance(row, Invalid):
            planned.append(PlannedRow(position, "left_out", None, row.reason))
            continue
        value = value_of(row)
        decision, reason = _of_outbox(known.get(row.key), retry_refused=retry_refused)
        if decision == "ready" and row.key in seen:
            decision, reason = "left_out", f"it has the same key as row {seen[row.key]}"
        seen.setdefault(row.key, position)
        if decision == "ready" and (why := _of_member(kind, row, members, allow_negative=allow_negative)):
            decision, reason = "left_out", why
        if decision == "ready" and (
            limit := next(filter(None, (b.refuses(row, value) for b in budgets)), None)
        ):
            decision, reason = "held_back", limit
            bound[limit] = None
        if decision == "ready":
            for budget in budgets:
                budget.take(row, value)
            if row.customer_id in members and kind.name == "add_points":
                members[row.customer_id] = members[row.customer_id].after(row)
        planned.append(PlannedRow(position, decision, row, reason, value))
    return ActionPlan(name, kind, planned, limits, tuple(bound))


def refusal(kind: Kind, action: ActionRow, member: Member | None, *, allow_negative: bool) -> str | None:
    """Return why a customer must not get an action; None if nothing speaks against it.

    Excluded customers can neither be adjusted nor redeem (Rivo's help centre), and guests cannot redeem on classic
    accounts. Rivo has no floor at zero.
    """
    if member is None:
        return "Rivo has no such customer"
    if member.is_deleted:
        return "the customer is deleted"
    if member.status in kind.forbidden:
        return f"the customer is {_STATUS.get(member.status, member.status)}"
    if kind.name == "add_points" and not allow_negative:
        points, credits = member.points or 0, member.credits or Decimal(0)
        if action.points < 0 and points + action.points < 0:
            return f"the balance of {points:,} points would become negative"
        if action.credits < 0 and credits + action.credits < 0:
            return f"the balance of {credits:,} store credits would become negative"
    return None


_STATUS = {"guest": "a guest"}


def _of_outbox(entry: Entry | None, *, retry_refused: bool) -> tuple[Decision, str]:
    if entry is None or entry.state in SENDABLE:
        return "ready", ""
    when = _day(entry.sent_at)
    if entry.state in OPEN:
        return "open", f"sent on {when} with an unknown outcome"
    if entry.state == "refused":
        return ("ready", "") if retry_refused else ("left_out", f"Rivo refused it on {when}: {entry.message}")
    return "done", f"done on {when}"


def _of_member(
    kind: Kind, action: ActionRow, members: Mapping[int, Member], *, allow_negative: bool
) -> str | None:
    # A customer who is newer than the last sync is not known; Rivo is asked before anything is sent.
    member = members.get(action.customer_id or 0)
    if member is None or not kind.is_about_customer:
        return None
    return refusal(kind, action, member, allow_negative=allow_negative)


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "an unknown day"
