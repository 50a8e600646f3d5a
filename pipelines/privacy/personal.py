"""What tells of a person in a row of the API, and its replacement, at any depth.

Everything here maps JSON to JSON and knows no warehouse. A `Replacer` says what a personal text becomes.

- A declared column is personal where the table of endpoints says so; notes are taken out whatever the replacer says.
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

Replacer = Callable[[str, bool], str | None]
"""What a personal text becomes, None for nothing; the second argument says whether it is an e-mail address."""

_PERSONAL_NAME = re.compile(
    r"mail|phone|mobile|birth|address|street|postal|postcode|(^|_)zip|city|gender|token|password"
    r"|(^|_)(dob|ip|ssn|lat|lng|latitude|longitude)($|_)"
    r"|(first|last|full|sur|user|family|given|middle|nick|customer|display)_?name",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[^\W\d_]{2}")
_PLAIN_WORD = re.compile(r"[a-z_]{1,40}")


def redact_row(name: str, row: Any, replacer: Replacer) -> Any:
    """A resource object of the list `name` with every personal value replaced; ids stay.

    It need not be well-formed: what has not the shape of a row is replaced as something undeclared.
    """
    if not isinstance(row, dict):
        return redact_undeclared(row, replacer)
    redacted = {}
    for key, value in row.items():
        if key == "attributes" and isinstance(value, dict):
            redacted[key] = redact_object(name, value, replacer)
        elif (key == "id" and _is_id(value)) or (
            key == "type" and isinstance(value, str) and _PLAIN_WORD.fullmatch(value)
        ):
            redacted[key] = value
        else:
            redacted.update(_items({key: redact_undeclared(value, replacer, key)}, replacer))
    return redacted


def redact_object(name: str, attributes: Mapping[str, Any], replacer: Replacer) -> dict[str, Any]:
    """The attributes of an object of the list `name` with every personal value replaced."""
    columns = columns_by_attribute(name)
    return _items(
        {
            key: redact_declared(columns[key], value, replacer)
            if key in columns
            else redact_undeclared(value, replacer, key)
            for key, value in attributes.items()
        },
        replacer,
    )


def redact_declared(column: Column, value: Any, replacer: Replacer) -> Any:
    """The value of a declared column with what is personal in it replaced."""
    if value is None:
        return None
    if column.personal:
        return _redact_personal(column, value, replacer)
    if column.nested:
        return _redact_nested(column.nested, value, replacer)
    if column.name == "id":
        ids = value if isinstance(value, list) else [value]
        return value if all(map(_is_id, ids)) else redact_undeclared(value, replacer)
    if column.type != "json" and isinstance(value, dict | list):
        return redact_undeclared(value, replacer)
    if column.type not in ("json", "text", "scalar") and isinstance(value, str) and _WORDS.search(value):
        # Sets its row apart, and must go on doing so.
        return replacer(value, False) or "removed"
    return _redact_plain(value, replacer)


def _redact_personal(column: Column, value: Any, replacer: Replacer) -> Any:
    if column.personal == "note":
        return None
    if column.personal == "details":
        return redact_undeclared(value, replacer)
    if isinstance(value, str):
        return replacer(value, column.personal == "email")
    if column.personal == "tags" and isinstance(value, list):
        tags = [replacer(tag, False) for tag in value if isinstance(tag, str)]
        return None if value and not any(tags) else tags
    return None


def _redact_nested(name: str, value: Any, replacer: Replacer) -> Any:
    if isinstance(value, dict):
        return redact_object(name, value, replacer)
    if isinstance(value, list):
        return [_redact_nested(name, each, replacer) for each in value]
    return value if _is_id(value) else redact_undeclared(value, replacer)


def redact_undeclared(value: Any, replacer: Replacer, name: str = "") -> Any:
    """A value that no release declares, as suspicious as its name `name` and those inside it are."""
    return _suspect(value, replacer, bool(_PERSONAL_NAME.search(name)))


def _suspect(value: Any, replacer: Replacer, is_personal: bool) -> Any:
    if isinstance(value, str):
        if looks_like_time(value):
            return None if is_personal else value
        return replacer(value, ADDRESS.fullmatch(value.strip()) is not None)
    if isinstance(value, dict):
        redacted = {
            key: _suspect(each, replacer, is_personal or bool(_PERSONAL_NAME.search(key)))
            for key, each in value.items()
        }
        return _items(redacted, replacer)
    if isinstance(value, list):
        return [_suspect(each, replacer, is_personal) for each in value]
    return None if is_personal else value


def _redact_plain(value: Any, replacer: Replacer) -> Any:
    """A value of the programme, not of a person: only addresses go, and keys that speak of a person."""
    if isinstance(value, str):
        return replace_addresses(value, replacer)
    if isinstance(value, dict):
        redacted = {
            key: _suspect(each, replacer, True)
            if _PERSONAL_NAME.search(key)
            else _redact_plain(each, replacer)
            for key, each in value.items()
        }
        return _items(redacted, replacer)
    if isinstance(value, list):
        return [_redact_plain(each, replacer) for each in value]
    return value


def replace_addresses(text: str, replacer: Replacer) -> str:
    """A text with the e-mail addresses in it replaced, by nothing where the replacer gives nothing."""
    return ADDRESS.sub(lambda found: replacer(found[0], True) or "", text) if "@" in text else text


def _items(values: dict[str, Any], replacer: Replacer) -> dict[str, Any]:
    """Keys can be addresses, too."""
    return {replace_addresses(key, replacer): value for key, value in values.items()}


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
