"""Which rows of a plan are sent: limits, repeated keys, balances."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from pipelines.actions.entries import Spent
from pipelines.actions.kinds import KINDS
from pipelines.actions.parameters import ActionRow
from pipelines.actions.plan import ActionPlan, Limits, Member, make_plan

NOTHING = Spent(0, 0, Decimal(0))
amounts = st.lists(st.tuples(st.integers(1, 5), st.integers(-50, 50).filter(bool)), max_size=30)
limit = st.none() | st.integers(0, 200)


def plan(
    rows: list[tuple[int, int]],
    members: dict[int, Member],
    limits: dict[str, Limits],
    spent: Spent = NOTHING,
    *,
    allow_negative: bool = False,
) -> ActionPlan:
    actions = [
        ActionRow("name", "add_points", str(number), {"customer_id": customer, "points_amount": points})
        for number, (customer, points) in enumerate(rows)
    ]
    return make_plan(
        "name",
        KINDS["add_points"],
        actions,
        known={},
        members=members,
        value_of=lambda action: Decimal(action.points) / 10,
        limits=limits,
        spent_today=spent,
        allow_negative=allow_negative,
    )


@given(amounts, limit, limit, limit, st.integers(0, 50))
def test_limits_are_never_exceeded_and_hold_back_only_what_exceeds_them(
    rows: list[tuple[int, int]],
    most_rows: int | None,
    most_points: int | None,
    most_value: int | None,
    spent: int,
) -> None:
    limits = {
        "per_run": Limits(most_rows, most_points, None),
        "per_day": Limits(None, most_points, None if most_value is None else Decimal(most_value)),
    }
    today = Spent(spent, spent, Decimal(spent))
    made = plan(rows, {}, limits, today, allow_negative=True)
    ready = [row.action for row in made.ready if row.action]
    points = sum(abs(action.points) for action in ready)
    if ready:
        assert most_rows is None or len(ready) <= most_rows
        assert most_points is None or points + spent <= most_points
        assert most_value is None or Decimal(points) / 10 + spent <= most_value
    assert made.count("ready") + made.count("held_back") == len(rows)
    if not made.bound:
        assert made.count("ready") == len(rows)


@given(amounts, st.integers(0, 60))
def test_no_balance_becomes_negative_unless_it_is_allowed(rows: list[tuple[int, int]], start: int) -> None:
    members = {id: Member("member", start) for id in range(1, 6)}
    made = plan(rows, members, {})
    balances = dict.fromkeys(members, start)
    for row in made.rows:
        assert row.action
        id = row.action.customer_id
        assert id is not None
        if row.decision == "ready":
            balances[id] += row.action.points
            assert row.action.points > 0 or balances[id] >= 0
        else:
            assert balances[id] + row.action.points < 0
    assert plan(rows, members, {}, allow_negative=True).count("ready") == len(rows)


def test_customers_who_must_not_get_points_are_left_out() -> None:
    members = {
        1: Member("guest", 5),
        2: Member("excluded", 5),
        3: Member("member", 5, is_deleted=True),
        4: Member("member", 5),
    }
    made = plan([(id, 1) for id in range(1, 6)], members, {})
    assert [row.reason for row in made.rows] == [
        "the customer is a guest",
        "the customer is excluded",
        "the customer is deleted",
        "",
        "",
    ]
