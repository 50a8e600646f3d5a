"""Lots and allocations of every point, worked out naively: each ledger is played through, lot by lot."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

from tests.dbt_like_sql.models.facts import World, once
from tests.dbt_like_sql.models.judge_ledger import Entry, entries

KINDS = {"redeem": "redeemed", "expire": "expired"}
Key = tuple[int, str, str]
"""Event, unit and leg of an entry."""
Rows = dict[Any, dict[str, Any]]


def _key(entry: Entry) -> Key:
    return entry.event.id, entry.unit, entry.leg


def _ledgers(world: World) -> list[list[Entry]]:
    found: dict[tuple[int, str], list[Entry]] = defaultdict(list)
    for entry in entries(world):
        found[entry.event.customer_id, entry.unit].append(entry)
    return list(found.values())


def _named_lot(debit: Entry, lots: dict[Key, Entry]) -> Key | None:
    """Return the lot that a debit names, if there is one of the same customer and unit."""
    if debit.leg == "revocation":
        named = (debit.event.id, debit.unit, "original")
    elif debit.entry_class == "expire" and debit.event.sourceable_id is not None:
        named = (debit.event.sourceable_id, debit.unit, "original")
    else:
        return None
    return named if named in lots else None


def _units_with_names(ledgers: list[list[Entry]]) -> set[str]:
    """Return the units of which at least 95 % of the expiry entries name a lot."""
    names: dict[str, list[bool]] = defaultdict(list)
    for mine in ledgers:
        lots = {_key(entry): entry for entry in mine if entry.amount > 0}
        for entry in mine:
            if entry.amount < 0 and entry.leg == "original" and entry.entry_class == "expire":
                names[entry.unit].append(_named_lot(entry, lots) is not None)
    return {unit for unit, found in names.items() if sum(found) >= 0.95 * len(found)}


@once
def allocations(world: World) -> Rows:
    """`fct_points_allocation` by the key of the lot and the key of the debit."""
    ledgers = _ledgers(world)
    believed = _units_with_names(ledgers)
    found: Rows = {}

    def take(lot: Entry, debit: Entry, amount: Decimal, basis: str) -> None:
        found[_key(lot), _key(debit)] = {
            "customer_id": lot.event.customer_id,
            "amount": amount,
            "kind": KINDS.get(debit.entry_class, "reversed"),
            "basis": basis,
            "allocated_at": max(lot.at, debit.at),
        }

    for mine in ledgers:
        lots = {_key(entry): entry for entry in mine if entry.amount > 0}
        debits = [entry for entry in mine if entry.amount < 0]
        left = {key: lot.amount for key, lot in lots.items()}
        owed = {_key(debit): -debit.amount for debit in debits}
        for debit in debits:
            named = _named_lot(debit, lots)
            if named and (debit.leg == "revocation" or debit.unit in believed):
                amount = min(left[named], owed[_key(debit)])
                if amount:
                    take(lots[named], debit, amount, "named")
                left[named] -= amount
                owed[_key(debit)] -= amount
        for debit in debits:
            for key, lot in lots.items():
                amount = min(left[key], owed[_key(debit)])
                if amount:
                    take(lot, debit, amount, "fifo")
                left[key] -= amount
                owed[_key(debit)] -= amount
    return found


@once
def lots(world: World) -> Rows:
    """`fct_points_lot` by event, unit and leg."""
    taken: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    for (lot, _), row in allocations(world).items():
        taken[lot].append(row)
    bases = _bases(world)
    found: Rows = {}
    for mine in _ledgers(world):
        for entry in mine:
            if entry.amount <= 0:
                continue
            rows = taken[_key(entry)]
            sums = {
                kind: sum((row["amount"] for row in rows if row["kind"] == kind), Decimal())
                for kind in ("redeemed", "expired", "reversed")
            }
            remaining = entry.amount - sum(sums.values())
            expires_at = entry.event.expires_at
            found[_key(entry)] = {
                "customer_id": entry.event.customer_id,
                "entry_class": entry.entry_class,
                "earn_basis": bases[_key(entry)],
                "entry_at": entry.at,
                "issued": entry.amount,
                "remaining": remaining,
                **sums,
                "age_days": (world.day(world.now) - world.day(entry.at)).days,
                "expires_on": None if expires_at is None else world.day(expires_at),
                "used_up_at": None if remaining else max(row["allocated_at"] for row in rows),
            }
    return found


def _bases(world: World) -> dict[Key, str | None]:
    """Return how each lot was earned; what came back after a redemption as most of what paid for it."""
    paid: dict[Key, list[tuple[Key, Decimal]]] = defaultdict(list)
    for (lot, debit), row in allocations(world).items():
        paid[debit].append((lot, row["amount"]))
    all_entries = entries(world)
    own = {_key(entry): entry.basis for entry in all_entries}
    bases: dict[Key, str | None] = {}
    for entry in all_entries:
        if entry.amount <= 0:
            continue
        bases[_key(entry)] = entry.basis
        if entry.entry_class != "redeem_return":
            continue
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for redeem in all_entries:
            is_its = (
                redeem.event.id == entry.event.id
                if entry.leg == "revocation"
                else redeem.event.redemption_id == entry.event.redemption_id is not None
            )
            if is_its and redeem.entry_class == "redeem" and redeem.unit == entry.unit:
                for lot, amount in paid[_key(redeem)]:
                    # A lot that came back later is not known yet.
                    if basis := bases.get(lot, own[lot]):
                        sums[basis] += amount
        bases[_key(entry)] = min(sums, key=lambda basis: (-sums[basis], basis)) if sums else entry.basis
    return bases
