"""Reads back from Rivo what an action did: finds it after an unknown outcome, and compares it with what was asked for.

An action is looked for among the rows with larger ids than its list had before the action was sent. A points event
carries a token in `internal_note`; a redemption is matched by customer and reward; a referral by its address; a
refund, a tier and a customer's values by the state of the object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from pipelines.actions.entries import Entry
from pipelines.errors import ListError
from pipelines.rivo.client import Client
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.paging import by_id
from pipelines.rivo.ranges import PAGE_SIZE

NOTE = "rivo-warehouse"
"""What the internal note of each points event of ours contains, before its token."""

_TOKEN = re.compile(rf"\[{NOTE} \S+ ([0-9a-f]+)")
Attributes = Mapping[str, Any]
Found = int | Literal["absent", "unclear"]
"""The id of the object, or that it is not there, or that the rows do not tell."""


@dataclass(frozen=True)
class ListedRow:
    """A row of a list, with the attributes as Rivo returns them."""

    id: int
    attributes: Attributes

    @property
    def customer_id(self) -> int | None:
        """Id of the customer nested in the row."""
        customer = self.attributes.get("customer")
        return customer.get("id") if isinstance(customer, dict) else None


def rows_after(
    client: Client, name: str, since_id: int, keep: Callable[[ListedRow], bool] = lambda _row: True
) -> tuple[list[ListedRow], int]:
    """Read the rows of a list after `since_id`, to its end.

    Returns:
        The rows for which `keep` is true, and the largest id.

    Raises:
        ListError, ApiError: the list cannot be read, or the server does not page by since_id.
    """
    endpoint = ENDPOINTS[name]
    kept: list[ListedRow] = []
    position = since_id
    while True:
        payload = client.get(endpoint.path, by_id(position, PAGE_SIZE), endpoint.title)
        rows = [_listed(row) for row in payload["data"]]
        new = [row for row in rows if row and row.id > position]
        if rows and not new:
            raise ListError(
                f"{endpoint.title}: the server does not page by since_id, so actions cannot be read back."
            )
        kept += [row for row in new if keep(row)]
        position = max([position, *(row.id for row in new)])
        links = payload.get("links")
        is_last = len(rows) < PAGE_SIZE and not (isinstance(links, dict) and links.get("next_since_id"))
        if not new or is_last:
            return kept, position


def one_row(client: Client, name: str, id: int) -> ListedRow | None:
    """Read the row of a list with an id; None if there is none.

    Raises:
        ListError, ApiError: the list cannot be read.
    """
    endpoint = ENDPOINTS[name]
    rows = client.get(endpoint.path, by_id(id - 1, 1), endpoint.title)["data"]
    found = _listed(rows[0]) if rows else None
    return found if found and found.id == id else None


def customer(client: Client, identifier: int | str) -> ListedRow | None:
    """Ask Rivo for a customer by Shopify id or e-mail address; None if there is none.

    Raises:
        ListError, ApiError: Rivo cannot be asked.
    """
    return _listed(
        client.find(f"/customers/{quote(str(identifier), safe='@')}", ENDPOINTS["customers"].title)
    )


def token_of(row: ListedRow) -> str | None:
    """Return the token in the internal note of a points event of ours; None for any other."""
    note = row.attributes.get("internal_note")
    found = _TOKEN.search(note) if isinstance(note, str) else None
    return found[1] if found else None


def find_event(entry: Entry, rows: Iterable[ListedRow], _known: set[int]) -> Found:
    """Find the points event with the entry's token."""
    is_like, keeps_notes = False, False
    for row in rows:
        note = row.attributes.get("internal_note")
        if isinstance(note, str):
            if entry.token in note:
                return row.id
            keeps_notes = keeps_notes or NOTE in note
        has_other_token = isinstance(note, str) and NOTE in note
        is_same = _points(row.attributes) in (None, entry.points_amount) and not has_other_token
        is_manual = row.attributes.get("source") in ("manual", "custom_action", None)
        is_like = is_like or (row.customer_id == entry.customer_id and is_same and is_manual)
    # If Rivo changes or drops notes, an event of the same customer and amount may be ours.
    return "unclear" if is_like and not keeps_notes else "absent"


def find_redemption(entry: Entry, rows: Iterable[ListedRow], known: set[int]) -> Found:
    """Find a redemption of the entry's reward by its customer that no other action made."""
    is_unclear = False
    for row in rows:
        reward = row.attributes.get("reward_id") or _nested_id(row.attributes, "reward")
        if row.id in known:
            continue
        if row.customer_id == entry.customer_id and reward == entry.parameters["reward_id"]:
            return row.id
        is_unclear = is_unclear or row.customer_id is None or reward is None
    return "unclear" if is_unclear else "absent"


def find_referral(entry: Entry, rows: Iterable[ListedRow], known: set[int]) -> Found:
    """Find the referral of the entry's friend."""
    friend = str(entry.parameters["email"]).lower()
    rows = list(rows)
    for row in rows:
        referred = row.attributes.get("referred_email") or _of(row.attributes, "referred_customer", "email")
        if str(referred).lower() == friend and row.id not in known:
            return row.id
    named = any("referred_email" in row.attributes or "referred_customer" in row.attributes for row in rows)
    return "absent" if named or not rows else "unclear"


FINDERS: Mapping[str, Callable[[Entry, Iterable[ListedRow], set[int]], Found]] = {
    "add_points": find_event,
    "redeem_reward": find_redemption,
    "create_referral": find_referral,
}
"""By kind, how an object that an action made is found among new rows."""


def find_state(client: Client, entry: Entry) -> Found:
    """Find out from the state of an object whether an action was carried out; 0 if it was.

    A tier that differs is unclear: Rivo may have set and recalculated it, and setting it again may pay its reward
    again.

    Raises:
        ListError, ApiError: Rivo cannot be asked.
        KeyError: the values that were asked for are not known any more.
    """
    if entry.kind == "update_customer" and len(entry.parameters) < 2:
        raise KeyError("parameters")
    if holds(client, entry) is None:
        return 0
    return "unclear" if entry.kind == "set_vip_tier" else "absent"


def holds(client: Client, entry: Entry) -> str | None:
    """Return how the state of an object differs from what an action asked for; None if it agrees.

    For refunds, tiers and customers, whose effect is a state rather than a new row.

    Raises:
        ListError, ApiError: Rivo cannot be asked.
    """
    if entry.kind == "refund_redemption":
        row = one_row(client, "points_redemptions", entry.parameters["redemption_id"])
        if row is None:
            return "Rivo does not list the redemption"
        return None if row.attributes.get("refunded_at") else "Rivo shows the redemption as not refunded"
    assert entry.customer_id is not None
    found = customer(client, entry.customer_id)
    if found is None:
        return "Rivo no longer has the customer"
    if entry.kind == "set_vip_tier":
        tier = found.attributes.get("vip_tier")
        held = tier.get("id") if isinstance(tier, dict) else None
        if held == entry.parameters["vip_tier_id"]:
            return None
        shown = f"the tier {tier.get('name')} ({held})" if isinstance(tier, dict) else "no tier"
        return f"Rivo shows {shown}, not the tier {entry.parameters['vip_tier_id']}: it may have been recalculated"
    for name, value in entry.parameters.items():
        if name != "customer_id" and str(found.attributes.get(name)) != str(value):
            return f"Rivo shows another {name}"
    return None


def difference(entry: Entry, row: ListedRow | None, times: int) -> str | None:
    """Return how the row that an action made differs from what was asked for; None if it agrees.

    Args:
        entry: the action.
        row: its row; None if Rivo does not list it.
        times: the number of points events with its token.
    """
    if times > 1:
        return f"Rivo lists it {times} times"
    if row is None:
        return "Rivo does not list what it answered with success"
    attributes = row.attributes
    if row.customer_id is not None and entry.customer_id not in (None, row.customer_id):
        return f"Rivo shows it for the customer {row.customer_id}"
    if entry.kind == "add_points":
        points = _points(attributes)
        if points is not None and points != entry.points_amount:
            return f"Rivo shows {points:,} points, not {entry.points_amount:,}"
        credits = attributes.get("credits_amount")
        if entry.credits_amount and abs(float(credits or 0)) != abs(float(entry.credits_amount)):
            return f"Rivo shows {credits} store credits, not {entry.credits_amount}"
    if entry.kind == "redeem_reward":
        reward = attributes.get("reward_id") or _nested_id(attributes, "reward")
        if reward not in (None, entry.parameters["reward_id"]):
            return f"Rivo shows the reward {reward}"
    if entry.kind == "create_referral" and attributes.get("status") in ("blocked", "ineligible"):
        reason = attributes.get("block_reason")
        return f"Rivo marked the referral as {attributes['status']}{f' ({reason})' if reason else ''}"
    return None


def _points(attributes: Attributes) -> int | None:
    points = attributes.get("points_diff")
    return points if isinstance(points, int) else None


def _nested_id(attributes: Attributes, name: str) -> Any:
    return _of(attributes, name, "id")


def _of(attributes: Attributes, name: str, key: str) -> Any:
    nested = attributes.get(name)
    return nested.get(key) if isinstance(nested, dict) else None


def _listed(row: Any) -> ListedRow | None:
    if not isinstance(row, dict) or not isinstance(row.get("id"), int):
        return None
    attributes = row.get("attributes")
    return ListedRow(row["id"], attributes if isinstance(attributes, dict) else {})
