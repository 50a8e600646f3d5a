"""Odd but valid values, missing attributes, rows that go away or get another id: nothing blocks publishing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from pipelines.rivo.endpoints import ENDPOINTS
from tests.harness.compare import Object
from tests.harness.shop import SmallShop, open_shop
from tests.harness.store import Store
from tests.torture.figures import Figures

_TIMES = (
    "",
    "0001-01-02T00:00:00Z",
    "1970-01-01T00:00:00Z",
    "2020-02-29T00:00:00Z",
    "2026-03-29T01:30:00+01:00",
    "2026-10-05",
    "2026-10-05T05:59:59.999999Z",
    "2026-11-01T05:30:00Z",
    "2027-01-01T00:00:00Z",
    "9999-12-30T23:59:59Z",
)
_TEXTS = (
    *("", " ", "\0", "x" * 5_000, 'ünï\' "quote"; drop table', "%s ? $1 {x}", "0", "-3.5"),
    *(
        "member",
        "guest",
        "MEMBER",
        "points_purchase",
        "import",
        "manual",
        "expired",
        "refund",
        "order_placed",
    ),
    *("completed", "claimed", "blocked"),
)
_SHARES = (0.002, 0.01, 0.05, 0.2)
"""Shares of the attributes and rows that are odd."""
_ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Pacific/Apia")


def values(store: Store, rounds: int, syncs: int = 3) -> Figures:
    """Sync `rounds` shops of odd rows, `syncs` times each."""
    figures = Figures("values", "every row is loaded or quarantined; all checks that block publishing pass")
    for number in range(rounds):
        random = Random(store.program.options.seed * 1_000 + number)
        with open_shop(store.path.parent / f"values{number}" / "rivo.duckdb") as shop:
            shop.options = {"timezone": _ZONES[number % len(_ZONES)]}
            for sync in range(syncs):
                share = random.choice(_SHARES)
                # The first state of every second shop is a usual one.
                if sync or number % 2:
                    _make_odd(shop, random, share)
                where = f"round {number + 1}, sync {sync + 1}, {share:.1%} odd"
                _sync(shop, figures, where, full=sync == syncs - 1)
                shop.wait(random.choice((1, 9, 40)))
    return figures.end()


def _sync(shop: SmallShop, figures: Figures, where: str, *, full: bool) -> None:
    finished = shop.sync(models=True, full=full, allow_shrink=list(ENDPOINTS))
    figures.runs += 1
    figures.must(finished.published, f"{where}: {' '.join(finished.problems)}")
    if not finished.published:
        return
    for name, rows in shop.lists.items():
        if shop.results[name].kind != "full":
            continue
        arrived = {
            row_id
            for (row_id,) in shop.query(
                f"select id from rivo_raw.{name} where _deleted_at is null "
                f"union all select id from rivo_raw._quarantine where list = '{name}'"
            )
        }
        listed = {row["id"] for row in rows}
        figures.must(arrived == listed, f"{where}: {name}: of {len(listed)} rows, {len(arrived)} arrived")


def _make_odd(shop: SmallShop, random: Random, share: float) -> None:
    for name, rows in shop.lists.items():
        for row in rows:
            _change(row["attributes"], random, share)
        may_lose = not ENDPOINTS[name].is_replaceable and len(rows) > 3
        for row in list(rows):
            chance = random.random()
            if chance < share / 2 and may_lose:
                rows.remove(row)
            elif chance < share:
                _copy(row, rows, random)
        rows.sort(key=lambda row: row["id"] or 0)


def _change(attributes: dict[str, Any], random: Random, share: float) -> None:
    names = [name for name in attributes if name != "id"]
    for name in names:
        if random.random() < share:
            attributes[name] = random.choice([None, *_odd(name, attributes[name])])
    if random.random() < share:
        for name in random.sample(names, min(3, len(names))):
            del attributes[name]


def _odd(name: str, value: Any) -> Sequence[Any]:
    """Return values of the kind of `value` that are rare and valid."""
    if isinstance(value, bool):
        return (True, False)
    if name.endswith("_at"):
        return _TIMES
    by_type: Mapping[type, Sequence[Any]] = {
        int: (0, -1, 1, 10**12 - 1, 1 - 10**12, 7198631016873),
        float: (0.0, -5.5, 1e13, 0.00001),
        str: _TEXTS,
        dict: ({}, {"id": None}, {"id": 5}, {"id": 7198631016873}),
        list: ([], [None], ["a", 1]),
    }
    return by_type.get(type(value), (0, 1, "", "x", *_TIMES[:3], {"id": 5}, [], True))


def _copy(row: Object, rows: list[Object], random: Random) -> None:
    """List a row once more under another id."""
    copy: Object = json.loads(json.dumps(row))
    copy["id"] = copy["attributes"]["id"] = (row["id"] or 1) + random.choice((1, 3, 500, 10**6))
    if all(other["id"] != copy["id"] for other in rows):
        rows.append(copy)
