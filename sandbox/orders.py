"""The shop's orders as Shopify exports them, so that discount codes can be joined with what was bought."""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sandbox.clock import iso, to_ms
from sandbox.program import Program
from sandbox.rows import Customer, Redemption

COLUMNS = (
    *("Name", "Id", "Created at", "Financial Status", "Currency"),
    *("Subtotal", "Discount Code", "Discount Amount", "Total"),
)
"""Columns of Shopify's export that are filled here; it has about seventy."""

_SHIPPING = 590
_PRODUCT = 2_400
"""Price of the free product and of the shipping, in cents."""

_PAYMENTS = ("gift_card", "points_to_credit")
"""Rewards that pay an order and are no discount."""


class Order(NamedTuple):
    """An order: moment, customer, and what the customer paid, in cents."""

    at: int
    customer_id: int
    paid: int


def write_orders(program: Program, now: datetime, path: Path) -> int:
    """Write all orders up to a moment to a CSV file, oldest first, and return their number."""
    orders = _orders(program, to_ms(now))
    codes = _codes(program, to_ms(now), orders)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for number, order in enumerate(orders):
            redemption = codes.get(number)
            discount = _discount(redemption, order.paid) if redemption else 0
            writer.writerow(
                {
                    "Name": f"#{1001 + number}",
                    "Id": 5_700_000_000_000 + number * 32_768,
                    "Created at": iso(order.at),
                    "Financial Status": "paid",
                    "Currency": "USD",
                    "Subtotal": _money(order.paid + discount),
                    "Discount Code": redemption.attrs["code"] if redemption else "",
                    "Discount Amount": _money(discount),
                    "Total": _money(order.paid),
                }
            )
    return len(orders)


def _orders(program: Program, now: int) -> list[Order]:
    found = []
    for customer in program.view(now).rows("customers"):
        if not isinstance(customer, Customer):
            continue
        for before, after in zip(customer.log, customer.log[1:], strict=False):
            if after.orders > before.orders and after.at <= now:
                found.append(Order(after.at, customer.id, after.spent - before.spent))
    return sorted(found)


def _codes(program: Program, now: int, orders: list[Order]) -> dict[int, Redemption]:
    """Place each used code on the customer's order that is nearest to its use: the simulation does not link the two."""
    free: defaultdict[int, list[int]] = defaultdict(list)
    for number, order in enumerate(orders):
        free[order.customer_id].append(number)
    placed = {}
    for redemption in program.view(now).rows("points_redemptions"):
        if not isinstance(redemption, Redemption):
            continue
        used_at = redemption.as_of(now).get("used_at")
        mine = free[redemption.customer.id]
        is_discount = redemption.reward["reward_type"] not in _PAYMENTS
        if is_discount and used_at is not None and used_at <= now and mine:
            nearest = min(mine, key=lambda number: abs(orders[number].at - used_at))
            mine.remove(nearest)
            placed[nearest] = redemption
    return placed


def _discount(redemption: Redemption, paid: int) -> int:
    """Return what a code took off an order of which the customer paid the rest, in cents."""
    reward, attrs = redemption.reward, redemption.attrs
    match reward["reward_type"]:
        case "percentage":
            return round(paid * reward["reward_value"] / (100 - reward["reward_value"]))
        case "free_shipping":
            return _SHIPPING
        case "free_product":
            return _PRODUCT
    value = reward["reward_value"]
    if reward.get("points_type") == "incremental":
        value *= (attrs["points_amount"] or attrs["credits"] / 100) / reward["points_amount"]
    return round(value * 100)


def _money(cents: int) -> str:
    return f"{cents / 100:.2f}"
