"""People whom nobody is to know any more: recognised in a row of the API, and replaced by an opaque key.

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
"""A smaller number in a text or an undeclared attribute is no customer's id: Shopify's have nine digits or more."""
_OTHER_NUMBERS = ("id", "bigint", "quantity", "decimal", "double")
SHORTEST_CODE = 5
"""A shorter code is a word that others may use, too."""


def address_of(key: int) -> str:
    """The address that stands for somebody forgotten, so that rows which knew the person by address still join."""
    return f"{-key}@forgotten.invalid"


class ErasedPeople:
    """Replaces what speaks of forgotten people.

    `key_of` gives the opaque key of an id, address or code, None for everybody else's. `learned` is called with the
    key and each other text that Rivo knows a forgotten person by. `address` is what their addresses become, and
    `is_address` tells which words are such.
    """

    def __init__(
        self,
        key_of: Callable[[str], int | None],
        learned: Callable[[int, str], None] = lambda _key, _text: None,
        address: Callable[[int], str | None] = address_of,
        is_address: Callable[[str], bool] = lambda word: "@" in word,
    ) -> None:
        self._key_of = key_of
        self._learned = learned
        self._address = address
        self._is_address = is_address
        # Every row is full of short numbers, and hardly a customer's id is one.
        has_short_ids = any(key_of(str(number)) is not None for number in range(_SHORT_IDS))
        self._numbers = _ALL_NUMBERS if has_short_ids else _NUMBERS

    def is_in(self, text: str) -> bool:
        """Whether a row, as JSON, names somebody forgotten by id or address."""
        key_of = self._key_of
        for number in self._numbers.findall(text):
            if key_of(number) is not None:
                return True
        if "@" in text:
            for word in _JSON_WORD.findall(text):
                if "@" in word and key_of(word.rstrip(".!")) is not None:
                    return True
        return False

    def row(self, name: str, row: Any) -> Any:
        """A resource object of the list `name` with forgotten people replaced; it need not be well-formed."""
        if not isinstance(row, dict) or not isinstance(row.get("attributes"), dict):
            return self.words(row)
        columns = columns_by_attribute(name)
        redacted = {
            key: self._declared(columns["id"], value) if key == "id" else self.words(value)
            for key, value in row.items()
            if key != "attributes"
        }
        return {**redacted, "attributes": self.object(name, row["attributes"], row.get("id"))}

    def object(self, name: str, attributes: Mapping[str, Any], own_id: Any) -> dict[str, Any]:
        """The attributes of an object of the list `name`."""
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
                    self._learn(key, column, value)
                    value = redact_declared(column, value, self._gone(key))
                elif column.personal == "email" and any(people[each] is not None for each in column.about):
                    # Somebody else's, known by id, who has the same address.
                    redacted[attribute] = value
                    continue
            redacted[attribute] = self.words(value) if column is None else self._declared(column, value)
        return redacted

    def _declared(self, column: Column, value: Any) -> Any:
        """The value of a declared column; a number where no customer's id stands is left, whatever it looks like."""
        if column.nested and isinstance(value, dict):
            return self.object(column.nested, value, value.get("id"))
        if column.is_customer:
            return self._ids(value)
        is_number = isinstance(value, int | float) or (isinstance(value, str) and value.strip().isdigit())
        return value if is_number and column.type in _OTHER_NUMBERS else self.words(value)

    def _ids(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._ids(each) for each in value]
        person = as_id(value)
        key = None if person is None else self._key_of(str(person))
        return self.words(value) if key is None else key

    def words(self, value: Any) -> Any:
        """Any JSON value with each id, address and code of somebody forgotten replaced, inside texts too.

        Of ids only those from `LEAST_ID_IN_TEXTS` on.
        """
        if isinstance(value, str):
            return _WORD.sub(self._word, value)
        if isinstance(value, int) and not isinstance(value, bool):
            key = self._key_of(str(value)) if value >= LEAST_ID_IN_TEXTS else None
            return value if key is None else key
        if isinstance(value, dict):
            return {_WORD.sub(self._word, key): self.words(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.words(each) for each in value]
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

    def _learn(self, key: int, column: Column, value: Any) -> None:
        is_known_by = column.personal == "email" or column.name == "referral_code"
        if is_known_by and isinstance(value, str) and len(value.strip()) >= SHORTEST_CODE:
            self._learned(key, value)

    def _person(self, column: Column, attributes: Mapping[str, Any], own_id: Any) -> int | None:
        if column.name == "id":
            return as_id(own_id)
        person = attributes.get(column.sources[0])
        nested = attributes.get(column.fallback) if person is None and column.fallback else None
        return as_id(nested.get("id") if isinstance(nested, dict) else person if nested is None else nested)

    def _key(self, person: int | None) -> int | None:
        return None if person is None else self._key_of(str(person))

    def _gone(self, key: int) -> Callable[[str, bool], str | None]:
        return lambda _text, is_email: self._address(key) if is_email else None
