"""Settings of several shops in one install: RIVO_SHOPS, and RIVO_SHOP_<NAME>_... for what differs between them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from pipelines.env_file import OF_KUBERNETES

if TYPE_CHECKING:
    from pipelines.settings import Settings

SCHEMAS = frozenset(
    {
        *(
            "rivo_raw",
            "rivo_raw_staging",
            "rivo_actions",
            "seeds",
            "staging",
            "intermediate",
            "marts",
            "reports",
        ),
        *("meta", "information_schema", "pg_catalog"),
    }
)
"""Schemas that a warehouse has. DuckDB names a database after its file, so no file may be called like one of them."""
PREFIX = "RIVO_SHOP_"
ALL = "all_shops"
"""Name of the warehouse that unites all shops; no shop can have it."""
_RESERVED = SCHEMAS | {ALL, "main", "memory", "system", "temp"}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def names_of(shops: str) -> tuple[str, ...]:
    """Return the names in a value of RIVO_SHOPS, in its order.

    Raises:
        ValueError: a name cannot be used, or is there twice.
    """
    names = tuple(filter(None, (name.strip().lower() for name in shops.split(","))))
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"'{name}' cannot be the name of a shop. A name has up to 40 letters, digits and underscores, and "
                "begins with a letter, such as de or us_west"
            )
        if name in _RESERVED:
            raise ValueError(
                f"'{name}' has another meaning in the warehouse. Choose another name for the shop"
            )
        if names.count(name) > 1:
            raise ValueError(f"'{name}' is there twice")
    return names


def is_name(text: str) -> bool:
    """Return whether a text can be the name of a shop."""
    return _NAME.fullmatch(text) is not None and text not in _RESERVED


def is_demo_name(name: str) -> bool:
    """Return whether a shop of this name without a key of its own is a demo: `demo`, `demo_eu`."""
    return name == "demo" or name.startswith("demo_")


def variable(shop: str, setting: str) -> str:
    """Return the variable of a shop's setting, such as RIVO_SHOP_DE_TIMEZONE."""
    return f"{PREFIX}{shop}_{setting}".upper()


def values_by_shop(
    variables: Mapping[str, str], names: Collection[str], settings: Collection[str]
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Sort the variables RIVO_SHOP_... by shop and setting.

    Args:
        variables: all variables, with names in upper case.
        names: the names in RIVO_SHOPS.
        settings: the settings that can differ by shop, in lower case.

    Returns:
        for each shop its values by setting; and a sentence about each variable that belongs to none.
    """
    known = {variable(name, setting): (name, setting) for name in names for setting in settings}
    values: dict[str, dict[str, str]] = {name: {} for name in names}
    problems = []
    for found, value in variables.items():
        if found in known:
            shop, setting = known[found]
            values[shop][setting] = value
        elif found.startswith(PREFIX) and (problem := _unknown(found, names, known, settings)):
            problems.append(problem)
    return values, problems


def _unknown(
    found: str, names: Collection[str], known: Iterable[str], settings: Collection[str]
) -> str | None:
    """Return a sentence about a variable that is no setting of a shop; None if it is not meant for this project."""
    rest = found.removeprefix(PREFIX)
    if rest.lower() in settings:
        return f"{found} names no shop. Write RIVO_{rest} for all shops, or {PREFIX}<NAME>_{rest} for one"
    if OF_KUBERNETES.match(rest):
        return None
    setting = next(
        (s for s in sorted(settings, key=len, reverse=True) if rest.endswith(f"_{s.upper()}")), None
    )
    shop = rest.removesuffix(f"_{setting}".upper()).lower() if setting else None
    if not names:
        return shop and f"{found} is set, but RIVO_SHOPS is not. Set RIVO_SHOPS={shop}"
    if shop:
        return f"{found}: RIVO_SHOPS has no shop {shop}. It has {', '.join(names)}"
    near = difflib.get_close_matches(found, known, n=1, cutoff=0.9)
    if near:
        return f"there is no setting {found}; the nearest is {near[0]}"
    return (
        f"there is no setting {found}. A shop's settings are those of .env.example with its name, such as "
        f"{variable(next(iter(names)), 'api_key')}. RIVO_WAREHOUSE, RIVO_OWNERS and RIVO_KEEP_RUNS_DAYS are for all"
    )


def same_account(by_shop: Mapping[str, Settings]) -> list[str]:
    """Return a sentence for each shop that has the key and the address of another one: each would be read twice."""
    first: dict[tuple[str, str], str] = {}
    problems = []
    for name, settings in by_shop.items():
        if settings.api_key is None:
            continue
        other = first.setdefault((settings.api_url, settings.api_key.get_secret_value()), name)
        if other != name:
            problems.append(
                f"{variable(name, 'api_key')}: {other} and {name} have the same key, and a key belongs to one shop"
            )
    return problems


def mixed_with_demos(by_shop: Mapping[str, Settings]) -> list[str]:
    """Return a sentence if some of the shops are demos: all shops are read together, too."""
    demos = [name for name, settings in by_shop.items() if settings.is_demo]
    if not demos or len(demos) == len(by_shop):
        return []
    return [
        f"RIVO_SHOPS: {', '.join(demos)} without a key would be simulated, and simulated data must not mix with that "
        "of other shops"
    ]
