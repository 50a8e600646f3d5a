"""The lists of the programme as the API shows them at one moment."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from sandbox import shapes
from sandbox.clock import parse, to_ms
from sandbox.overlay import Inserted, Overlay
from sandbox.rows import LISTS, Attributes, Customer, Row
from sandbox.simulation import Simulation, counts

AnyRow = Customer | Row

Object = dict[str, Any]


class View:
    """All lists at the moment `t`. The rows of a list are selected once; objects are built on demand."""

    def __init__(self, simulation: Simulation, overlay: Overlay, t: int) -> None:
        self.t = t
        self.revision = overlay.revision
        self.legacy_keys = simulation.options.legacy_keys
        self._simulation = simulation
        self._overlay = overlay
        self._rows: dict[str, list[Any]] = {}
        self._ids: dict[str, list[int]] = {}
        self.memo: dict[tuple[Any, ...], list[Any]] = {}  # filtered and sorted rows
        self._tallies: dict[int, tuple[int, int]] = {}
        self._changed = {name for name in LISTS if overlay.changes_any(name)}
        self.tier_cards: dict[int, Attributes] = {}
        self.next_tier_cards: dict[int | None, Attributes | None] = {}
        for name in simulation.small:  # rows of these lists can disappear, those of the others cannot
            self.rows(name)
        self._see_tiers()

    def _see_tiers(self) -> None:
        tiers = [self.object("vip_tiers", row)["attributes"] for row in self.rows("vip_tiers")]
        tiers.sort(key=lambda attrs: attrs["threshold"])
        self.tier_cards = {attrs["id"]: shapes.tier_card(attrs) for attrs in tiers}
        ladder = [None, *self.tier_cards, None]
        for held, higher in pairwise(ladder):
            self.next_tier_cards[held] = None if higher is None else self.tier_cards[higher]

    def _all(self, name: str) -> Sequence[AnyRow]:
        simulation = self._simulation
        match name:
            case "customers":
                return simulation.customers
            case "points_events":
                return simulation.events
            case "points_redemptions":
                return simulation.redemptions
            case "referrals":
                return simulation.referrals
        return sorted(simulation.small[name].values(), key=lambda row: row.id)

    def rows(self, name: str) -> list[Any]:
        """Return the rows of a list that exist at this moment, ordered by id."""
        if name not in self._rows:
            self._rows[name] = self._choose(name)
        return self._rows[name]

    def _choose(self, name: str) -> list[Any]:
        t = self.t
        rows: list[Any] = [row for row in self._all(name) if row.at <= t]
        if rows and isinstance(rows[0], Row):
            rows = [row for row in rows if row.gone_at is None or row.gone_at > t]
        inserted = [row for row in self._overlay.inserted[name] if row.at <= t]
        if inserted:
            rows = sorted([*rows, *inserted], key=lambda row: row.id)
        if self._overlay.hides_any(name):
            rows = [row for row in rows if self._overlay.is_present(name, row.id, t)]
        return rows

    def ids(self, name: str) -> list[int]:
        """Return the ids of `rows`."""
        if name not in self._ids:
            self._ids[name] = [row.id for row in self.rows(name)]
        return self._ids[name]

    def find(self, name: str, id: int) -> Any | None:
        """Return the row with an id, or None if it does not exist at this moment."""
        place = bisect_right(self.ids(name), id) - 1
        rows = self.rows(name)
        return rows[place] if place >= 0 and rows[place].id == id else None

    def changed(self, name: str, id: int) -> Attributes:
        """Return the attributes of a row that were changed after the simulation."""
        return self._overlay.values(name, id, self.t) if name in self._changed else {}

    def object(self, name: str, row: AnyRow) -> Object:
        """Return a row as the API answers it."""
        attrs = dict(row.attrs) if isinstance(row, Inserted) else shapes.SHAPES[name](row, self)
        if name == "customers" and row.id in self._overlay.touched:
            attrs["points_tally"], credits = self._tally(row.id)
            attrs["credits_tally"] = ("-" if credits < 0 else "") + shapes.decimal(credits)
        if name in self._changed:
            attrs |= self._overlay.values(name, row.id, self.t)
        if self.legacy_keys and name == "customers":
            attrs = shapes.rename_legacy(attrs)
        return {"id": row.id, "type": LISTS[name], "attributes": attrs}

    def objects(self, name: str) -> list[Object]:
        """Return a list completely."""
        return [self.object(name, row) for row in self.rows(name)]

    def snapshot(self) -> dict[str, list[Object]]:
        """Return every list completely."""
        return {name: self.objects(name) for name in LISTS}

    def _tally(self, customer_id: int) -> tuple[int, int]:
        # A test has changed the ledger, so the tally is computed again from the objects.
        if customer_id not in self._tallies:
            points, credits = 0, 0
            for row in self.rows("points_events"):
                if owner(row) == customer_id:
                    attrs = self.object("points_events", row)["attributes"]
                    if counts(self._simulation.options.tally_rule, _times_in_ms(attrs), self.t):
                        points += attrs.get("points_diff") or 0
                        credits += signed_credits(attrs)
            self._tallies[customer_id] = (points, credits)
        return self._tallies[customer_id]


def owner(row: AnyRow) -> int | None:
    """Return the id of the customer of a points event or redemption."""
    if isinstance(row, Inserted):
        return (row.attrs.get("customer") or {}).get("id")
    customer = getattr(row, "customer", None)
    return customer.id if customer is not None else None


def signed_credits(attrs: Attributes) -> int:
    """Return the cents that an entry adds: `credits_diff` if present, else the amount with the source's sign."""
    if attrs.get("credits_diff") is not None:
        return round(float(attrs["credits_diff"]) * 100)
    cents = round(float(attrs.get("credits_amount") or 0) * 100)
    return -cents if attrs.get("source") == "points_purchase" else cents


def _times_in_ms(attrs: Attributes) -> Attributes:
    moments = {}
    for key in ("applied_at", "approved_at", "revoked_at"):
        given = attrs.get(key)
        moments[key] = None if given is None else to_ms(parse(given))
    return {"hidden": attrs.get("hidden"), **moments}
