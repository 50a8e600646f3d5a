"""Changes that a test makes to the programme: rows, deletions, values. They do not affect the simulation."""

from __future__ import annotations

from bisect import bisect_right, insort
from datetime import datetime
from typing import Any

from sandbox.clock import iso, to_ms
from sandbox.rows import LISTS, Attributes, Row


class Inserted(Row):
    """A row whose attributes are already in the API's format."""

    __slots__ = ()


class Overlay:
    """Changes made by a test, each effective from a moment on."""

    def __init__(self) -> None:
        self.revision = 0
        self.inserted: dict[str, list[Inserted]] = {name: [] for name in LISTS}
        self.touched: set[int] = set()  # customers whose ledger a test has changed
        self._values: dict[tuple[str, int], list[tuple[int, int, Attributes]]] = {}
        self._presence: dict[tuple[str, int], list[tuple[int, bool]]] = {}

    def insert(self, name: str, row: Inserted) -> None:
        """Add a row, keeping its list ordered by id."""
        rows = self.inserted[name]
        rows.append(row)
        rows.sort(key=lambda row: row.id)
        self.revision += 1

    def set_values(self, name: str, id: int, at: int, attributes: Attributes) -> None:
        """Replace attributes of a row from a moment on."""
        self.revision += 1
        insort(self._values.setdefault((name, id), []), (at, self.revision, plain(attributes)))

    def set_presence(self, name: str, id: int, at: int, present: bool) -> None:
        """Remove a row or bring it back, from a moment on."""
        insort(self._presence.setdefault((name, id), []), (at, present))
        self.revision += 1

    def values(self, name: str, id: int, t: int) -> Attributes:
        """Return the replaced attributes of a row at a moment."""
        merged: Attributes = {}
        for at, _, attributes in self._values.get((name, id), ()):
            if at <= t:
                merged |= attributes
        return merged

    def is_present(self, name: str, id: int, t: int) -> bool:
        """Return whether a row is not removed at a moment."""
        changes = self._presence.get((name, id))
        if not changes:
            return True
        place = bisect_right(changes, t, key=lambda change: change[0])
        return True if place == 0 else changes[place - 1][1]

    def hides_any(self, name: str) -> bool:
        """Return whether any row of a list was ever removed, so that other lists need no filter."""
        return any(key[0] == name for key in self._presence)

    def changes_any(self, name: str) -> bool:
        """Return whether any row of a list has replaced attributes."""
        return any(key[0] == name for key in self._values)


def plain(attributes: Attributes) -> Attributes:
    """Return attributes with datetimes formatted as the API does."""

    def value(given: Any) -> Any:
        return iso(to_ms(given)) if isinstance(given, datetime) else given

    return {key: value(given) for key, given in attributes.items()}
