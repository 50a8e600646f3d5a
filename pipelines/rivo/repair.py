"""Decodes responses that are not quite valid JSON, and says which values were repaired.

Clients of other shop systems report half of an emoji, bytes that are not UTF-8, NaN and byte-order marks in otherwise
good responses. One such character must not cost a list, so it is repaired where that leaves no doubt about the other
values. A row that cannot be decoded at all becomes an object that the connector quarantines.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

MOST_LEVELS = 100
"""How deeply a value may be nested. The JSON libraries in use give up at 254 levels and more."""
UNREADABLE = "_unreadable"
"""Key of an object that stands for a row that cannot be decoded; its value is the reason."""
REPAIRS = "_repairs"
"""Key of a decoded response under which its repairs are listed."""

NOT_TEXT = "characters that are not valid Unicode; each was replaced by U+FFFD"
NOT_A_NUMBER = "NaN or an infinite number; null was loaded instead"
HAS_MARK = "a byte-order mark at its start, which was skipped"
TOO_DEEP = f"is nested more than {MOST_LEVELS} levels deep"
"""Why a value does not fit; the name of its column comes before it."""
_LARGEST_INTEGER = 2**63 - 1
"""As for orjson, larger integers are floating-point numbers: it could not write them again."""
_NOTHING = object()
"""Stands for NaN and Infinity until the attribute that has it is known."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)
_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{])|[\]}]', re.DOTALL)
_FIRST_ID = re.compile(r'\s*\{[^{}\[\]]*?"id"\s*:\s*"?(\d{1,18})\b')


@dataclass(frozen=True)
class Repair:
    """A value that was repaired: the id of its row, the attribute, and what it held."""

    row_id: Any
    attribute: str
    what: str


def decode_json(body: bytes) -> Any:
    """Decode a response body, and repair it where it is not valid JSON.

    Returns:
        The JSON value. If values were repaired, it has a list of `Repair` under `REPAIRS`.

    Raises:
        orjson.JSONDecodeError: the body is not JSON, not even with single damaged values or rows.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        payload, repairs = repaired(body, error)
        return {**payload, REPAIRS: repairs} if isinstance(payload, dict) else payload


def is_too_deep(text: bytes) -> bool:
    """Return whether a JSON text is nested more than `MOST_LEVELS` deep."""
    if text.count(b"{") + text.count(b"[") <= MOST_LEVELS:
        return False
    level = deepest = 0
    for token in _BRACKET.finditer(text):
        if token.group(1):
            level += 1
            deepest = max(deepest, level)
        elif token.group() in (b"]", b"}"):
            level -= 1
    return deepest > MOST_LEVELS


def pruned(value: Any, levels: int = MOST_LEVELS) -> Any:
    """Return a JSON value in which everything that is nested more deeply than `levels` is replaced by "..."."""
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return "..."
    if isinstance(value, dict):
        return {key: pruned(each, levels - 1) for key, each in value.items()}
    return [pruned(each, levels - 1) for each in value]


def unreadable(row: str | bytes, reason: str = f"the row {TOO_DEEP}") -> dict[str, Any]:
    """Return the object that stands for a row that cannot be decoded, given its text; it has the row's id if found."""
    text = row.decode(errors="replace") if isinstance(row, bytes) else row
    found = _FIRST_ID.match(text)
    # Half of a surrogate pair cannot be encoded.
    whole = text.encode(errors="replace").decode()
    return {"id": int(found[1]) if found else None, UNREADABLE: reason, "text": whole}


def repaired(body: bytes, error: orjson.JSONDecodeError) -> tuple[Any, list[Repair]]:
    """Decode JSON that orjson refuses; return the value, and what was repaired.

    Raises:
        orjson.JSONDecodeError: `error`, if the text is not JSON at all.
    """
    encoding = json.detect_encoding(body)
    is_utf_8 = encoding.startswith("utf-8")
    text = body.decode(encoding, "surrogateescape" if is_utf_8 else "replace").removeprefix("\ufeff")
    repairs = [Repair(None, "", HAS_MARK)] if body.startswith(codecs.BOM_UTF8) or not is_utf_8 else []
    try:
        payload = _parsed(text)
    except (ValueError, RecursionError):
        apart = _rows_apart(text)
        if apart is None:
            raise error from None
        envelope, rows = apart
        try:
            payload = _parsed(envelope)
        except (ValueError, RecursionError):
            raise error from None
        payload["data"] = [_row(row) for row in rows]
    if not isinstance(payload, dict) or not isinstance(payload.get("data"), list):
        return _repaired_value(payload, lambda what: repairs.append(Repair(None, "", what))), repairs
    rows = [_repaired_row(row, repairs) for row in payload.pop("data")]
    return {**_repaired_value(payload, lambda _what: None), "data": rows}, repairs


def _parsed(text: str) -> Any:
    decoder = json.JSONDecoder(strict=False, parse_constant=lambda _name: _NOTHING, parse_int=_whole_number)
    return decoder.decode(text)


def _whole_number(digits: str) -> int | float:
    # Python refuses to convert thousands of digits to an integer.
    is_exact = len(digits) <= 20 and abs(int(digits)) <= _LARGEST_INTEGER
    return int(digits) if is_exact else float(digits)


def _rows_apart(text: str) -> tuple[str, list[str]] | None:
    """Return the response without its rows, and the text of each row; None if its brackets do not match."""
    level, key = 0, ""
    start = opened = closed = None
    rows: list[str] = []
    for token in _TOKEN.finditer(text):
        mark = token.group()
        if mark in ("[", "{"):
            level += 1
            if level == 2 and mark == "[" and key == '"data"' and opened is None:
                opened = start = token.end()
        elif mark in ("]", "}"):
            level -= 1
            if level == 1 and opened is not None and closed is None:
                closed = token.start()
                rows.append(text[start:closed])
        elif mark == ",":
            if level == 2 and opened is not None and closed is None:
                rows.append(text[start : token.start()])
                start = token.end()
        elif level == 1:
            key = mark
    if level or closed is None:
        return None
    return text[:opened] + text[closed:], [row for row in rows if row.strip()]


def _row(text: str) -> Any:
    try:
        return _parsed(text)
    except RecursionError:
        return unreadable(text)
    except ValueError:
        return unreadable(text, "the row is not valid JSON")


def _repaired_row(row: Any, repairs: list[Repair]) -> Any:
    if not isinstance(row, dict):
        return _repaired_value(row, lambda what: repairs.append(Repair(None, "", what)))
    if UNREADABLE in row:
        return row

    def noted(attribute: str) -> Callable[[str], None]:
        return lambda what: repairs.append(Repair(row.get("id"), attribute, what))

    attributes = row.get("attributes")
    repaired = {name: value for name, value in row.items() if name != "attributes"}
    try:
        repaired = {name: _repaired_value(value, noted(name)) for name, value in repaired.items()}
        if isinstance(attributes, dict):
            repaired["attributes"] = {
                _repaired_value(name, noted("the name of an attribute")): _repaired_value(value, noted(name))
                for name, value in attributes.items()
            }
        elif "attributes" in row:
            repaired["attributes"] = _repaired_value(attributes, noted("attributes"))
    except RecursionError:
        return unreadable(json.dumps(pruned(row), default=lambda _nothing: None))
    return repaired


def _repaired_value(value: Any, note: Callable[[str], None], levels: int = MOST_LEVELS) -> Any:
    if isinstance(value, str):
        try:
            value.encode()
            return value
        except UnicodeEncodeError:
            note(NOT_TEXT)
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if value is _NOTHING or (isinstance(value, float) and not math.isfinite(value)):
        note(NOT_A_NUMBER)
        return None
    if not isinstance(value, dict | list):
        return value
    if not levels:
        raise RecursionError(TOO_DEEP)
    if isinstance(value, dict):
        return {
            _repaired_value(key, note, levels - 1): _repaired_value(each, note, levels - 1)
            for key, each in value.items()
        }
    return [_repaired_value(each, note, levels - 1) for each in value]


def sentences(title: str, repairs: Iterable[Repair]) -> list[str]:
    """Return one sentence for each kind of damage that was repaired in a list, with its first place."""
    first: dict[str, Repair] = {}
    others: dict[str, int] = {}
    for repair in repairs:
        others[repair.what] = others.get(repair.what, -1) + 1
        first.setdefault(repair.what, repair)
    found = []
    for what, repair in first.items():
        count = others[what]
        place = f"{repair.attribute} of id {repair.row_id}" if repair.attribute else "a response"
        more = f" and {count:,} other value{'s' * (count > 1)}" if count and repair.attribute else ""
        found.append(f"{title}: {place}{more} {'have' if more else 'has'} {what}.")
    return found
