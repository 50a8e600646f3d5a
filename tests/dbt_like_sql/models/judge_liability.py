"""Outstanding points, their value, vintages and revenue, worked out naively: each month end is asked of every lot."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from tests.dbt_like_sql.models import judge_ledger, judge_lots, judge_points
from tests.dbt_like_sql.models.facts import Code, World, month_of, months_later, once

Rows = dict[Any, dict[str, Any]]
NO_BASIS = "(no_basis)"


class Piece(NamedTuple):
    """A lot, with what was taken from it and when."""

    unit: str
    basis: str
    at: datetime
    issued: Decimal
    is_return: bool
    takings: list[tuple[datetime, str, Decimal]]

    def taken(self, end: datetime, kind: str) -> Decimal:
        return sum((amount for at, of, amount in self.takings if at < end and of == kind), Decimal())

    def remaining(self, end: datetime) -> Decimal:
        if self.at >= end:
            return Decimal()
        return self.issued - sum((amount for at, _, amount in self.takings if at < end), Decimal())


@once
def pieces(world: World) -> list[Piece]:
    """Return every lot."""
    takings: dict[Any, list[tuple[datetime, str, Decimal]]] = defaultdict(list)
    for (lot, _), row in judge_lots.allocations(world).items():
        takings[lot].append((row["allocated_at"], row["kind"], row["amount"]))
    return [
        Piece(
            key[1],
            row["earn_basis"] or "unknown",
            row["entry_at"],
            row["issued"],
            row["entry_class"] == "redeem_return",
            takings[key],
        )
        for key, row in judge_lots.lots(world).items()
    ]


def month_ends(world: World) -> list[tuple[date, str, datetime]]:
    """Return the months and units of the roll-forward, each with the instant at which the month ends."""
    return [
        (month, unit, world.midnight(months_later(month, 1)))
        for month, unit in judge_points.rollforward(world)
    ]


def rounded(value: Decimal, digits: int = 4) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


# -- vintages -----------------------------------------------------------------------------------------


def vintages(world: World) -> Rows:
    """`rpt_points_vintage` by month of issue, unit and age."""
    lots = pieces(world)
    found: Rows = {}
    for month, unit, end in month_ends(world):
        if month > month_of(world.day(world.now)):
            continue
        for issue_month in {month_of(world.day(lot.at)) for lot in lots if lot.unit == unit and lot.at < end}:
            mine = [lot for lot in lots if lot.unit == unit and month_of(world.day(lot.at)) == issue_month]
            issued = sum((lot.issued for lot in mine), Decimal())
            sums = {
                kind: sum((lot.taken(end, kind) for lot in mine), Decimal())
                for kind in ("redeemed", "expired", "reversed")
            }
            age = (month.year - issue_month.year) * 12 + month.month - issue_month.month
            found[issue_month, unit, age] = {
                "month": month,
                "issued": issued,
                **sums,
                "remaining": sum((lot.remaining(end) for lot in mine), Decimal()),
                "breakage": float(sums["expired"] / issued),
                "is_complete": end <= world.now,
            }
    return found


# -- liability ----------------------------------------------------------------------------------------


@once
def liability(world: World) -> Rows:
    """`rpt_points_liability` by month, unit and way of earning."""
    lots = pieces(world)
    debits = [entry for entry in judge_ledger.entries(world) if entry.amount < 0]
    bases = {(lot.unit, lot.basis) for lot in lots}
    found: Rows = {}
    for month, unit, end in month_ends(world):
        rate = _value_per_point(world, unit, month)
        spent, lapsed = _fate_of_old_lots(world, lots, unit, month, end)
        probability = rounded(spent / (spent + lapsed), 8) if spent + lapsed else None
        common = {
            **rate,
            "redemption_probability": probability,
            "redeemed_of_old_vintages": spent,
            "expired_of_old_vintages": lapsed,
            "is_complete": end <= world.now,
        }
        for basis in [*(basis for of, basis in bases if of == unit), NO_BASIS]:
            outstanding = sum(
                (lot.remaining(end) for lot in lots if (lot.unit, lot.basis) == (unit, basis)), Decimal()
            )
            found[month, unit, basis] = {
                **common,
                **_valued(outstanding, rate["value_per_point"], probability),
                **dict.fromkeys(("open_rewards", "open_reward_value", "open_reward_unvalued"), 0),
                "unallocated_debits": 0,
            }
        allocated = sum(
            (amount for lot in lots if lot.unit == unit for at, _, amount in lot.takings if at < end),
            Decimal(),
        )
        owed = sum((-debit.amount for debit in debits if debit.unit == unit and debit.at < end), Decimal())
        found[month, unit, NO_BASIS] |= _open_rewards(world, unit, end) | {
            "unallocated_debits": allocated - owed
        }
    return found


def _valued(outstanding: Decimal, rate: Decimal | None, probability: Decimal | None) -> dict[str, Any]:
    face = None if rate is None else rounded(outstanding * rate)
    return {
        "outstanding": outstanding,
        "face_value": face,
        "outstanding_unvalued": outstanding if face is None else 0,
        "expected_value": None if face is None or probability is None else rounded(face * probability),
    }


def _value_per_point(world: World, unit: str, month: date) -> dict[str, Any]:
    last = min(month, month_of(world.day(world.now)))
    facts = judge_ledger.redemptions(world)
    claimed = [
        code
        for code in world.codes
        if unit == "points"
        and code.points
        and 0 <= _months_between(month_of(world.day(code.claimed_at)), last) < 12
    ]
    valued = [code for code in claimed if facts[code.id]["redemption_value"] is not None]
    value = sum((facts[code.id]["redemption_value"] for code in valued), Decimal())
    points, all_points = sum(code.points for code in valued), sum(code.points for code in claimed)
    rate = Decimal(1) if unit == "credits" else rounded(value / points, 8) if points else None
    return {
        "value_per_point": rate,
        "value_redeemed_12m": value,
        "points_valued_12m": points,
        "points_redeemed_12m": all_points,
        "known_value_share": points / all_points if all_points else None,
    }


def _months_between(first: date, last: date) -> int:
    return (last.year - first.year) * 12 + last.month - first.month


def _fate_of_old_lots(
    world: World, lots: list[Piece], unit: str, month: date, end: datetime
) -> tuple[Decimal, Decimal]:
    """Return what was spent and what expired, by the end of a month, of lots whose month had ended a year before."""
    as_of = min(months_later(month, 1), world.day(world.now)) if end > world.now else months_later(month, 1)
    old = [lot for lot in lots if lot.unit == unit and months_later(month_of(world.day(lot.at)), 13) <= as_of]
    return (
        sum((lot.taken(end, "redeemed") for lot in old), Decimal()),
        sum((lot.taken(end, "expired") for lot in old), Decimal()),
    )


def _open_rewards(world: World, unit: str, end: datetime) -> dict[str, Any]:
    facts = judge_ledger.redemptions(world)

    def is_open(code: Code) -> bool:
        ends = (code.used_at, code.expires_at, code.revoked_at, code.refunded_at)
        return code.claimed_at < end and not any(
            at is not None and at < end and at <= world.now for at in ends
        )

    paid_so = [code for code in world.codes if (unit == "credits") == (code.credits > 0 and not code.points)]
    values = [facts[code.id]["redemption_value"] for code in paid_so if is_open(code)]
    return {
        "open_rewards": len(values),
        "open_reward_value": sum((value for value in values if value is not None), Decimal()),
        "open_reward_unvalued": values.count(None),
    }


# -- revenue ------------------------------------------------------------------------------------------


def revenue(world: World) -> Rows:
    """`rpt_points_revenue` by month and way of earning, in exact numbers."""
    lots = [lot for lot in pieces(world) if lot.unit == "points"]
    states = {
        month: row
        for (month, unit, basis), row in liability(world).items()
        if (unit, basis) == ("points", NO_BASIS)
    }
    rates = [
        row["value_per_point"] for _, row in sorted(states.items()) if row["value_per_point"] is not None
    ]
    found: Rows = {}
    for month, unit, end in sorted(month_ends(world)):
        if unit != "points" or month > month_of(world.day(world.now)):
            continue
        probability = states[month]["redemption_probability"]
        batches: dict[tuple[str, date], list[Piece]] = defaultdict(list)
        for lot in lots:
            if lot.at < end:
                batches[lot.basis, month_of(world.day(lot.at))].append(lot)
        for (basis, issue_month), mine in batches.items():
            rate = states[issue_month]["value_per_point"] or next(iter(rates), None)
            row = _recognised(mine, end, rate, Decimal(1) if probability is None else probability)
            sums = found.setdefault((month, basis), dict.fromkeys(row, Decimal()))
            for name, amount in row.items():
                sums[name] += amount
    for (month, basis), row in found.items():
        before = found.get((months_later(month, -1), basis), {"revenue_to_date": 0})
        row["revenue"] = row["revenue_to_date"] - before["revenue_to_date"]
    return found


def _recognised(
    lots: list[Piece], end: datetime, rate: Decimal | None, probability: Decimal
) -> dict[str, Decimal]:
    def total(kind: str) -> Decimal:
        return sum((lot.taken(end, kind) for lot in lots), Decimal())

    issued = sum((lot.issued for lot in lots), Decimal()) - total("reversed")
    returned = sum((lot.issued for lot in lots if lot.is_return), Decimal())
    redeemed, expired = total("redeemed"), total("expired")
    expected = min(max(issued * probability, redeemed), issued - expired)
    allocated = issued * (rate or 0)
    recognised = allocated * redeemed / expected if expected else allocated
    paid = allocated - returned * (rate or 0)
    return {
        "points_issued": issued - returned,
        "points_unvalued": issued - returned if rate is None else Decimal(),
        "points_redeemed": redeemed - returned,
        "points_expired": expired,
        "points_expected": expected - returned,
        "allocated_value": paid,
        "deferred_balance": allocated - recognised,
        "revenue_to_date": paid - allocated + recognised,
    }
