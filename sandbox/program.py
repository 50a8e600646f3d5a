"""The programme: simulated on demand, readable as of any moment, with changes made by tests."""

from __future__ import annotations

from datetime import datetime
from threading import RLock
from typing import Any

from sandbox import life
from sandbox.clock import iso, to_ms
from sandbox.options import ProgramOptions
from sandbox.overlay import Inserted, Overlay, plain
from sandbox.rows import LISTS, Attributes
from sandbox.shapes import TEMPLATES
from sandbox.simulation import FREE, Simulation
from sandbox.truth import Truth
from sandbox.view import Object, View, owner

_VIEWS_KEPT = 3


class Program:
    """A loyalty programme with a past and, on demand, a future.

    Every moment is a datetime with a time zone. The simulation runs as far as a read needs it.
    """

    def __init__(self, options: ProgramOptions | None = None) -> None:
        self.options = options or ProgramOptions()
        self._simulation = Simulation(self.options, life.begin)
        self._overlay = Overlay()
        self._views: dict[tuple[int, int], View] = {}
        self._lock = RLock()
        self.truth = Truth(self._simulation, self._lock)

    def view(self, t: datetime | int) -> View:
        """Return the lists as of a moment, for reading row by row."""
        ms = t if isinstance(t, int) else to_ms(t)
        with self._lock:
            key = (ms, self._overlay.revision)
            if key not in self._views:
                self._simulation.run_through(ms)
                while len(self._views) >= _VIEWS_KEPT:
                    self._views.pop(next(iter(self._views)))
                self._views[key] = View(self._simulation, self._overlay, ms)
            return self._views[key]

    def snapshot(self, t: datetime) -> dict[str, list[Object]]:
        """Return every list exactly as the API answers it at a moment: `{"customers": [{"id", "type", ...}]}`."""
        return self.view(t).snapshot()

    # -- changes made by tests ----------------------------------------------------------------------

    def override(self, list_name: str, id: int, at: datetime, **attributes: Any) -> None:
        """Replace attributes of a row from a moment on.

        A changed ledger entry also changes its customer's tally (balance).
        """
        with self._lock:
            row = self._find(list_name, id, at)
            self._overlay.set_values(list_name, id, to_ms(at), attributes)
            if list_name == "points_events":
                self._overlay.touched.add(owner(row) or 0)

    def insert(self, list_name: str, attributes: Attributes, at: datetime, id: int | None = None) -> int:
        """Add a row at a moment and return its id, by default the next id after the existing ones.

        Attributes are those of the API; times may be datetimes, and missing attributes are null. A ledger entry
        names its customer as `{"customer": {"id": ...}}` and counts towards that customer's tally.
        """
        with self._lock:
            ms = to_ms(at)
            existing = [0, *self.view(ms).ids(list_name)]
            later = self.view(max(ms, self._simulation.now))
            if id is None:
                id = max(existing) + 1
                while later.find(list_name, id) is not None:
                    id += 1
                # More rows than there are free ids must not take those of the rows that follow.
                self._simulation.reserve(list_name, id)
            if later.find(list_name, id) is not None:
                raise ValueError(f"{list_name} {id} exists; {FREE} ids are free after each row")
            attrs = {**TEMPLATES[list_name], "id": id, **_DEFAULTS.get(list_name, {})}
            for key in _STAMPED.get(list_name, ()):
                attrs[key] = iso(ms)
            attrs |= plain(attributes)
            if list_name == "points_events" and "points_amount" not in attributes:
                attrs["points_amount"] = abs(attrs["points_diff"] or 0)
            row = Inserted(id, ms, attrs)
            self._overlay.insert(list_name, row)
            if list_name == "points_events":
                self._overlay.touched.add(owner(row) or 0)
            return id

    def remove(self, list_name: str, id: int, at: datetime) -> None:
        """Remove a row from a moment on."""
        self._set_presence(list_name, id, at, False)

    def restore(self, list_name: str, id: int, at: datetime) -> None:
        """Bring a removed row back from a moment on."""
        self._set_presence(list_name, id, at, True)

    def _set_presence(self, list_name: str, id: int, at: datetime, present: bool) -> None:
        with self._lock:
            if not present:
                row = self._find(list_name, id, at)
                if list_name == "points_events":
                    self._overlay.touched.add(owner(row) or 0)
            self._overlay.set_presence(list_name, id, to_ms(at), present)

    def _find(self, list_name: str, id: int, at: datetime) -> Any:
        if list_name not in LISTS:
            raise ValueError(f"there is no list {list_name!r}; the lists are {', '.join(LISTS)}")
        row = self.view(at).find(list_name, id)
        if row is None:
            raise ValueError(f"{list_name} has no row {id} at {at}")
        return row


_DEFAULTS: dict[str, Attributes] = {
    "points_events": {"points_diff": 0, "credits_amount": "0.0", "source": "manual", "title": "By hand"},
    "customers": {
        "loyalty_status": "member",
        "points_tally": 0,
        "credits_tally": "0.0",
        "orders_count": 0,
        "accepts_marketing": False,
        "verified_email": True,
        "completed_earning_rule_ids": [],
    },
    "points_redemptions": {"points_amount": 0, "credits_amount": "0.0"},
    "referrals": {"status": "unclaimed"},
}

# Times of an inserted row that default to the moment of insertion.
_STAMPED = {
    "points_events": ("applied_at", "approved_at"),
    "points_redemptions": ("applied_at",),
    "referrals": ("created_at",),
    "vip_tiers": ("created_at", "updated_at"),
    "rewards": ("created_at", "updated_at"),
}
