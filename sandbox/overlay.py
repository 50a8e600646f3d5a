"""What a test adds to the programme by hand: rows, deletions, values. The simulation knows nothing of it."""

from __future__ import annotations

from bisect import bisect_right, insort
from datetime import datetime
from typing import Any

from sandbox.clock import iso, to_ms
from sandbox.rows import LISTS, Attributes, Row


class Inserted(Row):
    """A row whose attributes are already in the API's own form."""

    __slots__ = ()


class Overlay:
    """Changes by hand, each from a moment on."""

    def __init__(self) -> None:
        self.revision = 0
        self.inserted: dict[str, list[Inserted]] = {name: [] for name in LISTS}
        self.touched: set[int] = set()  # customers whose ledger was changed by hand
        self._values: dict[tuple[str, int], list[tuple[int, int, Attributes]]] = {}
        self._presence: dict[tuple[str, int], list[tuple[int, bool]]] = {}

    def insert(self, name: str, row: Inserted) -> None:
        """Add a row; its list stays in order of ids."""
        rows = self.inserted[name]
        rows.append(row)
        rows.sort(key=lambda row: row.id)
        self.revision += 1

    def set_values(self, name: str, id: int, at: int, attributes: Attributes) -> None:
        """Have a row answer these attributes from a moment on."""
        self.revision += 1
        insort(self._values.setdefault((name, id), []), (at, self.revision, plain(attributes)))

    def set_presence(self, name: str, id: int, at: int, present: bool) -> None:
        """Take a row away, or bring it back, from a moment on."""
        insort(self._presence.setdefault((name, id), []), (at, present))
        self.revision += 1

    def values(self, name: str, id: int, t: int) -> Attributes:
        """What replaces the attributes of a row at a moment."""
        merged: Attributes = {}
        for at, _, attributes in self._values.get((name, id), ()):
            if at <= t:
                merged |= attributes
        return merged

    def is_present(self, name: str, id: int, t: int) -> bool:
        """Whether a row has not been taken away."""
        spells = self._presence.get((name, id))
        if not spells:
            return True
        place = bisect_right(spells, t, key=lambda spell: spell[0])
        return True if place == 0 else spells[place - 1][1]

    def hides_any(self, name: str) -> bool:
        """Whether any row of a list was ever taken away: most lists need no look at all."""
        return any(key[0] == name for key in self._presence)

    def changes_any(self, name: str) -> bool:
        """Whether any row of a list has values by hand."""
        return any(key[0] == name for key in self._values)


def plain(attributes: Attributes) -> Attributes:
    """Attributes with moments as the API writes them."""

    def value(given: Any) -> Any:
        return iso(to_ms(given)) if isinstance(given, datetime) else given

    return {key: value(given) for key, given in attributes.items()}
