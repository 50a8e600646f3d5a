"""Recognises erased people in the rows of the API and replaces them by an opaque key.

Maps JSON to JSON and knows no warehouse, like `pipelines.privacy.personal`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pipelines.privacy.personal import (
    columns_by_attribute,
    redact_declared,
    redact_undeclared,
)
from pipelines.rivo.columns import Column
from pipelines.rivo.decode import as_id

_WORD = re.compile(r"[^\s\"'<>(),;:=/?&#]+")
_JSON_WORD = re.compile(r"[^\s\"'<>(),;:=/?&#\\]+")
_NUMBERS = re.compile(r"\d{5,}")
_ALL_NUMBERS = re.compile(r"\d+")
_SHORT_IDS = 10_000
LEAST_ID_IN_TEXTS = 100_000_000
"""Smallest id that is looked for in texts and undeclared attributes: Shopify's ids have nine digits or more."""
_OTHER_NUMBERS = ("id", "bigint", "quantity", "decimal", "double")
SHORTEST_CODE = 5
"""Length of the shortest referral code that identifies a person; a shorter one may be any word."""


def address_of(key: int) -> str:
    """Return the address that replaces an erased person's, so that rows which held only the address still join."""
    return f"{-key}@forgotten.invalid"


class ErasedPeople:
    """The erased people, and how to replace them in rows.

    Args:
        key_of: returns the opaque key of an erased person's id, address or code; None for any other word.
        on_found: called with the key and each further address or code that a row gives for an erased person.
        address: returns the address that replaces an erased person's address; None to leave it out.
        is_address: returns whether a word is an address.
    """

    def __init__(
        self,
        key_of: Callable[[str], int | None],
        on_found: Callable[[int, str], None] = lambda _key, _text: None,
        address: Callable[[int], str | None] = address_of,
        is_address: Callable[[str], bool] = lambda word: "@" in word,
    ) -> None:
        self._key_of = key_of
        self._on_found = on_found
        self._address = address
        self._is_address = is_address
        # Rows are full of short numbers, and looking each up would be slow.
        has_short_ids = any(key_of(str(number)) is not None for number in range(_SHORT_IDS))
        self._numbers = _ALL_NUMBERS if has_short_ids else _NUMBERS

    def occur_in(self, text: str) -> bool:
        """Return whether a row, given as JSON text, holds an erased person's id or address."""
        key_of = self._key_of
        for number in self._numbers.findall(text):
            if key_of(number) is not None:
                return True
        if "@" in text:
            for word in _JSON_WORD.findall(text):
                if "@" in word and key_of(word.rstrip(".!")) is not None:
                    return True
        return False

    def redact_row(self, name: str, row: Any) -> Any:
        """Replace erased people in a resource object of the list `name`, which need not be well-formed."""
        if not isinstance(row, dict) or not isinstance(row.get("attributes"), dict):
            return self.redact_value(row)
        columns = columns_by_attribute(name)
        redacted = {
            key: self._declared(columns["id"], value) if key == "id" else self.redact_value(value)
            for key, value in row.items()
            if key != "attributes"
        }
        return {**redacted, "attributes": self.redact_object(name, row["attributes"], row.get("id"))}

    def redact_object(self, name: str, attributes: Mapping[str, Any], own_id: Any) -> dict[str, Any]:
        """Replace erased people in the attributes of an object of the list `name` with the id `own_id`."""
        columns = columns_by_attribute(name)
        people = {c.name: self._person(c, attributes, own_id) for c in columns.values() if c.is_customer}
        keys = {column: self._key(person) for column, person in people.items()}
        redacted: dict[str, Any] = {}
        for attribute, value in attributes.items():
            column = columns.get(attribute)
            if column is None:
                if any(key is not None for key in keys.values()):
                    value = redact_undeclared(value, lambda _text, _is_email: None, attribute)
            elif column.about:
                key = next((keys[each] for each in column.about if keys[each] is not None), None)
                if key is not None:
                    self._report_identifier(key, column, value)
                    value = redact_declared(column, value, self._replacer(key))
                elif column.personal == "email" and any(people[each] is not None for each in column.about):
                    # Another customer, known by id, has the same address.
                    redacted[attribute] = value
                    continue
            redacted[attribute] = (
                self.redact_value(value) if column is None else self._declared(column, value)
            )
        return redacted

    def _declared(self, column: Column, value: Any) -> Any:
        """Replace erased people in a declared column; only columns of customer ids may lose a number."""
        if column.nested and isinstance(value, dict):
            return self.redact_object(column.nested, value, value.get("id"))
        if column.is_customer:
            return self._ids(value)
        is_number = isinstance(value, int | float) or (isinstance(value, str) and value.strip().isdigit())
        return value if is_number and column.type in _OTHER_NUMBERS else self.redact_value(value)

    def _ids(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._ids(each) for each in value]
        person = as_id(value)
        key = None if person is None else self._key_of(str(person))
        return self.redact_value(value) if key is None else key

    def redact_value(self, value: Any) -> Any:
        """Replace the ids, addresses and codes of erased people in any JSON value, and inside its texts.

        Ids below `LEAST_ID_IN_TEXTS` are left alone.
        """
        if isinstance(value, str):
            return _WORD.sub(self._word, value)
        if isinstance(value, int) and not isinstance(value, bool):
            key = self._key_of(str(value)) if value >= LEAST_ID_IN_TEXTS else None
            return value if key is None else key
        if isinstance(value, dict):
            return {_WORD.sub(self._word, key): self.redact_value(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.redact_value(each) for each in value]
        return value

    def _word(self, found: re.Match[str]) -> str:
        word = found[0].rstrip(".!")
        if word.isdigit() and len(word) < len(str(LEAST_ID_IN_TEXTS)):
            return found[0]
        key = self._key_of(word)
        if key is None:
            return found[0]
        if word.isdigit():
            return str(key)
        return (self._address(key) or "") if self._is_address(word) else ""

    def _report_identifier(self, key: int, column: Column, value: Any) -> None:
        is_known_by = column.personal == "email" or column.name == "referral_code"
        if is_known_by and isinstance(value, str) and len(value.strip()) >= SHORTEST_CODE:
            self._on_found(key, value)

    def _person(self, column: Column, attributes: Mapping[str, Any], own_id: Any) -> int | None:
        if column.name == "id":
            return as_id(own_id)
        person = attributes.get(column.sources[0])
        nested = attributes.get(column.fallback) if person is None and column.fallback else None
        return as_id(nested.get("id") if isinstance(nested, dict) else person if nested is None else nested)

    def _key(self, person: int | None) -> int | None:
        return None if person is None else self._key_of(str(person))

    def _replacer(self, key: int) -> Callable[[str, bool], str | None]:
        return lambda _text, is_email: self._address(key) if is_email else None
