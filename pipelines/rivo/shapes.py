"""Shapes of JSON values: types, lengths and shares of nulls, and no value."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

_FORMATS = (
    ("time with fraction, Z", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")),
    ("time, Z", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")),
    ("time, other", re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d.*")),
    ("date", re.compile(r"\d{4}-\d\d-\d\d")),
    ("month and day", re.compile(r"\d\d-\d\d")),
    ("date in words", re.compile(r"[A-Z][a-z]+ \d\d?, \d{4}")),
    ("integer in quotes", re.compile(r"-?\d+")),
    ("decimal in quotes", re.compile(r"-?\d+\.\d+")),
    ("web address", re.compile(r"https?://\S+")),
    ("e-mail address", re.compile(r"[^\s@]+@[^\s@]+")),
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")
"""Names of attributes that are shown. Others could be values, in objects that are used as tables."""


@dataclass
class Range:
    """The smallest and the largest of some numbers."""

    least: int | None = None
    most: int | None = None

    def add(self, number: int) -> None:
        """Count a number."""
        self.least = number if self.least is None else min(self.least, number)
        self.most = number if self.most is None else max(self.most, number)

    def __str__(self) -> str:
        """Return both, or one if they are equal."""
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


@dataclass
class Shape:
    """The shape of one attribute in many rows."""

    count: int = 0
    types: Counter[str] = field(default_factory=Counter)
    lengths: dict[str, Range] = field(default_factory=dict)
    """By type: characters of a text, digits of an integer, elements of an array, attributes of an object."""
    parts: dict[str, Shape] = field(default_factory=dict)
    """Shapes of the attributes of an object, by name; shapes of the elements of an array, as "[]"."""
    unnamed: int = 0
    """Number of attributes of objects whose names are not shown."""

    def add(self, value: Any, names: Collection[str] | None = None) -> None:
        """Count a value.

        Args:
            value: a JSON value.
            names: names of attributes that may be shown; by default all that look like names.
        """
        self.count += 1
        kind, length = _type_of(value)
        self.types[kind] += 1
        if length is not None:
            self.lengths.setdefault(kind, Range()).add(length)
        if isinstance(value, dict):
            for name, part in value.items():
                if _NAME.fullmatch(name) and (names is None or name in names):
                    self.parts.setdefault(name, Shape()).add(part, names)
                else:
                    self.unnamed += 1
        elif isinstance(value, list):
            for part in value:
                self.parts.setdefault("[]", Shape()).add(part, names)

    def lines(self, name: str, rows: int, indent: str = "") -> Iterator[str]:
        """Yield lines that describe the shape.

        Args:
            name: name of the attribute.
            rows: number of objects that could have the attribute.
            indent: what each line begins with.
        """
        kinds = [f"{kind} {_share(n, rows)}{self._length(kind)}" for kind, n in self.types.most_common()]
        if self.count < rows:
            kinds.append(f"absent {_share(rows - self.count, rows)}")
        if self.unnamed:
            kinds.append(f"{self.unnamed} attributes with other names")
        yield f"{indent}{name:<32} {'; '.join(kinds)}"
        objects = sum(n for kind, n in self.types.items() if kind == "object")
        for part, shape in self.parts.items():
            yield from shape.lines(part, shape.count if part == "[]" else objects, f"{indent}  ")

    def _length(self, kind: str) -> str:
        lengths = self.lengths.get(kind)
        if lengths is None:
            return ""
        unit = {
            "integer": "digits",
            "negative integer": "digits",
            "array": "elements",
            "object": "attributes",
        }.get(kind, "characters")
        return f" ({lengths} {unit})"


def _type_of(value: Any) -> tuple[str, int | None]:
    """Return the type of a JSON value, and its length where it has one."""
    if value is None:
        return "null", None
    if isinstance(value, bool):
        return "boolean", None
    if isinstance(value, int):
        return "integer" if value >= 0 else "negative integer", len(str(abs(value)))
    if isinstance(value, float):
        return "number", None
    if isinstance(value, list):
        return "array", len(value)
    if isinstance(value, dict):
        return "object", len(value)
    found = next((name for name, pattern in _FORMATS if pattern.fullmatch(value)), None)
    return (f"text ({found})" if found else "text"), len(value)


def _share(part: int, whole: int) -> str:
    """Return a percentage; a part that is not empty is never shown as 0 %, and an incomplete one never as 100 %."""
    percent = 100 * part / max(whole, 1)
    if 0 < percent < 1:
        return "<1 %"
    return ">99 %" if 99 < percent < 100 else f"{percent:.0f} %"
