"""Who comes: names, temper, and the course of arrivals."""

from __future__ import annotations

from random import Random

from sandbox.clock import DAY, MINUTE, SECOND, month_of
from sandbox.options import ProgramOptions
from sandbox.rows import Customer, State

# fmt: off
FIRST = (
    "Ada", "Ben", "Chloé", "Dan", "Ella", "Finn", "Grace", "Hana", "Jane", "Kofi", "Lena",
    "Omar", "Priya", "Quinn", "Rosa", "Sam", "Uma", "Wei", "Zoë", "Björn", "美咲", "Łukasz",
)
LAST = (
    "Adams", "Brown", "Chen", "Díaz", "Evans", "García", "Hughes", "Ito", "Jones", "Lopez", "Müller",
    "Nguyen", "O'Brien", "Patel", "Rossi", "Smith", "Xu", "Young", "Zhang",
)
# fmt: on
TAGS: tuple[tuple[str, ...] | None, ...] = (None, (), ("newsletter",), ("vip", "newsletter"), ("wholesale",))

# How much is bought in each month, January first, as a share of the best.
SEASON = (0.5, 0.5, 0.55, 0.55, 0.6, 0.55, 0.5, 0.5, 0.55, 0.6, 1.0, 0.95)

_FOUNDERS = 0.4  # the share of the customers who were there before the app


def season(t: int) -> float:
    """How busy the shop is, from 0 to 1."""
    return SEASON[month_of(t) - 1]


def founders(options: ProgramOptions) -> int:
    """How many customers there are at the start of history."""
    return min(options.customers, int(options.customers * _FOUNDERS) + 1)


def arrival(options: ProgramOptions, place: int) -> int | None:
    """When the n-th customer after the founders arrives; None if the shop does not grow.

    The shop grows a little faster all the time; past `end` it goes on at its last pace.
    """
    growth = options.customers - founders(options)
    if not growth:
        return None
    span = options.end_ms - options.start_ms - 5 * MINUTE
    share = place / growth
    grown = share**0.8 if share <= 1 else 1 + 0.8 * (share - 1)
    return options.start_ms + int(grown * span)


def _letters(rng: Random, alphabet: str, count: int) -> str:
    return "".join(alphabet[int(rng.random() * len(alphabet))] for _ in range(count))


def code(rng: Random, prefix: str = "") -> str:
    """A referral code, or with a prefix a discount code."""
    return prefix + (
        _letters(rng, "0123456789abcdef", 12) if prefix else _letters(rng, "abcdefghjkmnpqrs", 8)
    )


def person(rng: Random, id: int, at: int, is_founder: bool) -> Customer:
    """A new customer with a temper of its own: how often it buys, for how long, whether it redeems."""
    first, last = rng.choice(FIRST), rng.choice(LAST)
    plain = f"{first}.{last}".lower().replace("'", "").encode("ascii", "ignore").decode().strip(".")
    orders = min(60, int(rng.lognormvariate(0.7, 0.9))) if is_founder else 0
    state = State(
        at=at,
        status="guest",
        orders=orders,
        spent=sum(int(rng.lognormvariate(8.5, 0.6)) for _ in range(orders)),
        marketing=rng.random() < 0.6,
        tags=TAGS[int(rng.random() * len(TAGS))],
        remote_at=at - int(rng.random() * 200 * DAY) if is_founder else at,
    )
    # Shopify tells of new customers with a delay.
    visible = at if is_founder else at + int((30 + 30 * rng.random()) * SECOND)
    customer = Customer(id, visible, first, last, f"{plain}.{id % 1_000_003}@example.com", code(rng), state)
    customer.rate = min(60.0, rng.lognormvariate(2.35, 0.9)) / 365
    customer.lapses_at = at + int(rng.expovariate(1.0) * 460 * DAY)
    customer.redeems = 0.0 if rng.random() < 0.3 else 0.1 + 0.6 * rng.random()
    return customer
