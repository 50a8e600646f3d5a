"""Finds personal data in the rows of the API, at any depth, and replaces it.

Maps JSON to JSON and knows no warehouse. A `Replacer` returns the replacement of a personal text.

- A declared column is personal if the endpoint table says so. Notes are always deleted.
- An object of another list (a customer inside an event) is redacted by that list's columns.
- In undeclared attributes, every text except a plain time is personal; numbers and booleans are personal if the
  attribute has a personal name.
- Other texts (titles, names of rewards) stay, except for the e-mail addresses in them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import orjson

from pipelines.rivo.columns import ADDRESS, Column
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.repair import repaired
from pipelines.rivo.types import looks_like_time

Replacer = Callable[[str, bool], str | None]
"""A function of (text, is_address) that returns the replacement of a personal text, or None to delete it."""

_PERSONAL_NAME = re.compile(
    r"mail|phone|mobile|birth|address|street|postal|postcode|(^|_)zip|city|gender|token|password"
    r"|(^|_)(dob|ip|ssn|lat|lng|latitude|longitude)($|_)"
    r"|(first|last|full|sur|user|family|given|middle|nick|customer|display)_?name",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[^\W\d_]{2}")
_PLAIN_WORD = re.compile(r"[a-z_]{1,40}")


def redact_row(name: str, row: Any, replacer: Replacer) -> Any:
    """Replace every personal value in a resource object of the list `name`; ids stay.

    A part that does not have the shape of a row is redacted like an undeclared attribute.
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
    """Replace every personal value in the attributes of an object of the list `name`."""
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
    """Replace personal data in the value of a declared column."""
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
        # The value does not fit its type: the row must still be quarantined.
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
    """Replace personal data in an undeclared attribute, judged by its name `name` and the names inside it."""
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
    """Redact a value about the loyalty programme: replace addresses, and the values of keys with personal names."""
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
    """Replace the e-mail addresses in a text, or delete them if the replacer returns None."""
    return ADDRESS.sub(lambda found: replacer(found[0], True) or "", text) if "@" in text else text


def _items(values: dict[str, Any], replacer: Replacer) -> dict[str, Any]:
    """Replace the addresses in keys."""
    return {replace_addresses(key, replacer): value for key, value in values.items()}


def _is_id(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, str) and value.isascii() and value.isdigit()
    )


@cache
def columns_by_attribute(name: str) -> dict[str, Column]:
    """Return the column of the list `name` that each attribute belongs to; a nested object has its own."""
    columns = ENDPOINTS[name].columns
    found = {attribute: column for column in columns for attribute in column.sources}
    return {**found, **{column.name: column for column in columns}}


def parsed(text: str | bytes) -> Any:
    """Parse a JSON text; a number that no double can hold becomes None."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return repaired(text.encode() if isinstance(text, str) else text, error)[0]
