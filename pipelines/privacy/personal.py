"""What tells of a person in a row of the API, and its replacement, at any depth.

Everything here maps JSON to JSON and knows no warehouse. A `Swap` says what a personal text becomes.

- A declared column is personal where the table of endpoints says so; notes are taken out whatever the swap says.
- An object of another list (a customer inside an event) is looked at with that list's columns.
- What no release declared is suspect: all its texts are personal but plain times, and so are its numbers and
  truths where their name speaks of a person.
- Other texts (titles, names of rewards) stay, but for e-mail addresses inside them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import orjson

from pipelines.rivo.columns import ADDRESS, Column
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.types import looks_like_time

Swap = Callable[[str, bool], str | None]
"""What a personal text becomes, None for nothing; the second argument says whether it is an e-mail address."""

_PERSONAL_NAME = re.compile(
    r"mail|phone|mobile|birth|address|street|postal|postcode|(^|_)zip|city|gender|token|password"
    r"|(^|_)(dob|ip|ssn|lat|lng|latitude|longitude)($|_)"
    r"|(first|last|full|sur|user|family|given|middle|nick|customer|display)_?name",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[^\W\d_]{2}")
_PLAIN_WORD = re.compile(r"[a-z_]{1,40}")


def treat_row(name: str, row: Any, swap: Swap) -> Any:
    """A resource object of the list `name` with every personal value replaced; ids stay.

    It need not be well-formed: what has not the shape of a row is replaced as something undeclared.
    """
    if not isinstance(row, dict):
        return treat_undeclared(row, swap)
    treated = {}
    for key, value in row.items():
        if key == "attributes" and isinstance(value, dict):
            treated[key] = treat_object(name, value, swap)
        elif (key == "id" and _is_id(value)) or (
            key == "type" and isinstance(value, str) and _PLAIN_WORD.fullmatch(value)
        ):
            treated[key] = value
        else:
            treated.update(_items({key: treat_undeclared(value, swap, key)}, swap))
    return treated


def treat_object(name: str, attributes: Mapping[str, Any], swap: Swap) -> dict[str, Any]:
    """The attributes of an object of the list `name` with every personal value replaced."""
    columns = columns_by_attribute(name)
    return _items(
        {
            key: treat_declared(columns[key], value, swap)
            if key in columns
            else treat_undeclared(value, swap, key)
            for key, value in attributes.items()
        },
        swap,
    )


def treat_declared(column: Column, value: Any, swap: Swap) -> Any:
    """The value of a declared column with what is personal in it replaced."""
    if value is None:
        return None
    if column.personal:
        return _treat_personal(column, value, swap)
    if column.nested:
        return _treat_nested(column.nested, value, swap)
    if column.name == "id":
        ids = value if isinstance(value, list) else [value]
        return value if all(map(_is_id, ids)) else treat_undeclared(value, swap)
    if column.type != "json" and isinstance(value, dict | list):
        return treat_undeclared(value, swap)
    if column.type not in ("json", "text", "scalar") and isinstance(value, str) and _WORDS.search(value):
        # Sets its row apart, and must go on doing so.
        return swap(value, False) or "removed"
    return _treat_plain(value, swap)


def _treat_personal(column: Column, value: Any, swap: Swap) -> Any:
    if column.personal == "note":
        return None
    if column.personal == "details":
        return treat_undeclared(value, swap)
    if isinstance(value, str):
        return swap(value, column.personal == "email")
    if column.personal == "tags" and isinstance(value, list):
        tags = [swap(tag, False) for tag in value if isinstance(tag, str)]
        return None if value and not any(tags) else tags
    return None


def _treat_nested(name: str, value: Any, swap: Swap) -> Any:
    if isinstance(value, dict):
        return treat_object(name, value, swap)
    if isinstance(value, list):
        return [_treat_nested(name, each, swap) for each in value]
    return value if _is_id(value) else treat_undeclared(value, swap)


def treat_undeclared(value: Any, swap: Swap, name: str = "") -> Any:
    """A value that no release declares, as suspicious as its name `name` and those inside it are."""
    return _suspect(value, swap, bool(_PERSONAL_NAME.search(name)))


def _suspect(value: Any, swap: Swap, is_personal: bool) -> Any:
    if isinstance(value, str):
        if looks_like_time(value):
            return None if is_personal else value
        return swap(value, ADDRESS.fullmatch(value.strip()) is not None)
    if isinstance(value, dict):
        treated = {
            key: _suspect(each, swap, is_personal or bool(_PERSONAL_NAME.search(key)))
            for key, each in value.items()
        }
        return _items(treated, swap)
    if isinstance(value, list):
        return [_suspect(each, swap, is_personal) for each in value]
    return None if is_personal else value


def _treat_plain(value: Any, swap: Swap) -> Any:
    """A value of the programme, not of a person: only addresses go, and keys that speak of a person."""
    if isinstance(value, str):
        return swap_addresses(value, swap)
    if isinstance(value, dict):
        treated = {
            key: _suspect(each, swap, True) if _PERSONAL_NAME.search(key) else _treat_plain(each, swap)
            for key, each in value.items()
        }
        return _items(treated, swap)
    if isinstance(value, list):
        return [_treat_plain(each, swap) for each in value]
    return value


def swap_addresses(text: str, swap: Swap) -> str:
    """A text with the e-mail addresses in it replaced, by nothing where the swap gives nothing."""
    return ADDRESS.sub(lambda found: swap(found[0], True) or "", text) if "@" in text else text


def _items(values: dict[str, Any], swap: Swap) -> dict[str, Any]:
    """Keys can be addresses, too."""
    return {swap_addresses(key, swap): value for key, value in values.items()}


def _is_id(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, str) and value.isascii() and value.isdigit()
    )


@cache
def columns_by_attribute(name: str) -> dict[str, Column]:
    """Which column of the list `name` an attribute belongs to; a nested object to its own."""
    columns = ENDPOINTS[name].columns
    found = {attribute: column for column in columns for attribute in column.sources}
    return {**found, **{column.name: column for column in columns}}


def parsed(text: str | bytes) -> Any:
    """A JSON text as Python objects; a number that no double can hold is None."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text, parse_float=_float, parse_int=_int, parse_constant=lambda _: None)


def _float(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _int(text: str) -> int | float | None:
    # orjson writes what 64 bits hold.
    return int(text) if len(text) < 20 and abs(int(text)) < 2**63 else _float(text)
