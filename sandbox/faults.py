"""Faults that the store can simulate. `Fault` values choose which of them happen, where and how often.

A fault can be restricted to one list. Its rate is a share of the requests or, for faults of the stage `rows`, of the
rows. The same faults and requests give the same answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any

from sandbox.rows import LISTS, Attributes
from sandbox.shapes import chance


@dataclass(frozen=True)
class Kind:
    """A kind of fault. `stage` says what it changes.

    answer   replaces the whole answer: `setting` has status, body, retry_after
    wire     changes how the bytes are sent
    paging   changes which page is returned, or its links
    landed   replaces the answer of a call that has changed the shop: `setting` as of `answer`
    tier     changes what setting a tier does
    rows     changes single objects: `setting["apply"]` changes one in place
    """

    stage: str
    about: str
    setting: Mapping[str, Any] = field(default_factory=dict)


def _new_attribute(obj: dict[str, Any], value: Any) -> None:
    obj["attributes"]["new_attribute"] = "surprise" if value is None else value


def _type_change(obj: dict[str, Any], _: Any) -> None:
    attrs: Attributes = obj["attributes"]
    for key in ("points_tally", "loyalty_points_tally", "points_amount", "threshold"):
        if attrs.get(key) is not None:
            attrs[key] = f"{attrs[key]} pts"
            return


def _null_id(obj: dict[str, Any], _: Any) -> None:
    obj["id"] = None


def _no_id(obj: dict[str, Any], _: Any) -> None:
    obj.pop("id", None)


def _no_diff(obj: dict[str, Any], _: Any) -> None:
    obj["attributes"].pop("points_diff", None)


def _no_attribute(obj: dict[str, Any], value: Any) -> None:
    obj["attributes"].pop(value or "vip_tier", None)


def _bad_date(obj: dict[str, Any], value: Any) -> None:
    for key in ("applied_at", "created_at", "remote_updated_at"):
        if key in obj["attributes"]:
            obj["attributes"][key] = value or "2026-02-30T00:00:00Z"
            return


def _error(status: int, body: str, about: str, **setting: Any) -> Kind:
    return Kind("answer", about, {"status": status, "body": body, **setting})


_BUSY = "Rate limit exceeded"

KINDS: dict[str, Kind] = {
    "rate_limited": _error(
        429, "errors", "429 with Retry-After in seconds (value: seconds, default 1)", retry_after="seconds"
    ),
    "rate_limited_date": _error(429, "errors", "429 with Retry-After as an HTTP date", retry_after="date"),
    "rate_limited_bare": _error(429, "message", "429 without Retry-After"),
    "http_401": _error(401, "error", "the key is refused"),
    "http_403": _error(403, "error", "the key is not allowed here"),
    "http_404": _error(404, "error", "the path does not exist"),
    "http_500": _error(500, "message", "an internal error"),
    "http_502": _error(502, "html", "a bad gateway, as HTML"),
    "http_503": _error(503, "html", "unavailable, as HTML"),
    "http_504": _error(504, "html", "a gateway timeout, as HTML"),
    "html": _error(200, "html", "an HTML page with status 200"),
    "landed_500": Kind(
        "landed", "an internal error after a call has changed the shop", {"status": 500, "body": "message"}
    ),
    "landed_504": Kind(
        "landed",
        "a gateway timeout, as HTML, after a call has changed the shop",
        {"status": 504, "body": "html"},
    ),
    "tier_recalculated": Kind(
        "tier", "a tier that a call sets is recalculated at once: the customer keeps the old one"
    ),
    "truncated": Kind("wire", "Content-Length is longer than the body; the connection closes"),
    "dropped": Kind("wire", "the connection closes without an answer"),
    "slow": Kind("wire", "the answer is delayed (value: milliseconds, default 500)"),
    "hang": Kind("wire", "the connection closes after a long silence (value: seconds, default 60)"),
    "cursor_ignored": Kind("paging", "since_id is ignored: every page is the first page"),
    "cursor_stuck": Kind("paging", "next_since_id is the since_id that was sent"),
    "old_links": Kind("paging", "cursor answers contain only links.self"),
    "next_missing": Kind("paging", "next_since_id is missing although there are more rows"),
    "next_null": Kind("paging", "next_since_id is null although there are more rows"),
    "empty_page": Kind("paging", "a page without rows"),
    "short_page": Kind("paging", "a page of one row, whatever the limit"),
    "new_attribute": Kind("rows", "an undeclared attribute, new_attribute", {"apply": _new_attribute}),
    "type_change": Kind("rows", 'a number becomes a text: "12 pts"', {"apply": _type_change}),
    "null_id": Kind("rows", "the row's id is null", {"apply": _null_id}),
    "missing_id": Kind("rows", "the row has no id", {"apply": _no_id}),
    "missing_diff": Kind("rows", "points_diff is missing", {"apply": _no_diff}),
    "missing_attribute": Kind(
        "rows", "an attribute is missing (value: its name, default vip_tier)", {"apply": _no_attribute}
    ),
    "bad_date": Kind("rows", "an impossible date, 2026-02-30", {"apply": _bad_date}),
}

OF_READING = tuple(name for name, kind in KINDS.items() if kind.stage not in ("landed", "tier"))
"""The faults that affect reading; the others affect only calls that change the shop."""

_TEXT = re.compile(r"(?P<name>\w+)(:(?P<list>\w+))?(=(?P<rate>[\d.]+))?(@(?P<value>.+))?$")


@dataclass(frozen=True)
class Fault:
    """An active fault.

    name   a key of KINDS
    list   the list it is restricted to; None for all lists
    rate   share of the requests or rows affected
    value  parameter of some kinds: seconds, milliseconds, the value of a new attribute
    times  maximum number of times (not for faults of the stage `rows`); None for no maximum
    after  number of requests that are answered well first (not for faults of the stage `rows`)
    """

    name: str
    list: str | None = None
    rate: float = 1.0
    value: Any = None
    times: int | None = None
    after: int = 0

    def __post_init__(self) -> None:
        """Validate name, list and rate."""
        if self.name not in KINDS:
            raise ValueError(f"there is no fault {self.name!r}; the faults are {', '.join(KINDS)}")
        if self.list is not None and self.list not in LISTS:
            raise ValueError(f"there is no list {self.list!r}; the lists are {', '.join(LISTS)}")
        if not 0 <= self.rate <= 1:
            raise ValueError(f"the rate of {self.name} must be between 0 and 1")

    @classmethod
    def parse(cls, given: str | Mapping[str, Any] | Fault) -> Fault:
        """Create a fault from `NAME[:list][=rate][@value]`, or from a mapping of the fields."""
        if isinstance(given, Fault):
            return given
        if not isinstance(given, str):
            return cls(**given)
        match = _TEXT.match(given)
        if not match:
            raise ValueError(f"cannot parse the fault {given!r}; the format is NAME[:list][=rate][@value]")
        value: Any = match["value"]
        if value is not None and re.fullmatch(r"[\d.]+", value):
            value = float(value)
        rate = 1.0 if match["rate"] is None else float(match["rate"])
        return cls(match["name"], match["list"], rate, value)

    @property
    def kind(self) -> Kind:
        """Its kind."""
        return KINDS[self.name]


FaultLike = str | Mapping[str, Any] | Fault


class Switchboard:
    """The active faults, with the number of requests that each one could affect and did affect."""

    def __init__(self, seed: int, faults: Iterable[FaultLike] | FaultLike = ()) -> None:
        self._seed = seed
        self._lock = Lock()
        self.revision = 0
        self.set(faults)

    def set(self, faults: Iterable[FaultLike] | FaultLike) -> None:
        """Replace all faults and reset their counts."""
        if isinstance(faults, str | Mapping | Fault):
            faults = [faults]
        parsed = [Fault.parse(fault) for fault in faults]
        with self._lock:
            self.faults: tuple[Fault, ...] = tuple(parsed)
            self._asked = [0] * len(parsed)
            self._happened = [0] * len(parsed)
            self.revision += 1

    def for_request(self, list_name: str | None) -> list[Fault]:
        """Return the faults that affect this request, except those of the stage `rows`."""
        hits = []
        with self._lock:
            for place, fault in enumerate(self.faults):
                if fault.kind.stage == "rows" or fault.list not in (None, list_name):
                    continue
                self._asked[place] += 1
                spent = fault.times is not None and self._happened[place] >= fault.times
                due = not spent and self._asked[place] > fault.after
                if due and chance(self._seed, fault.name, place, self._asked[place]) < fault.rate:
                    self._happened[place] += 1
                    hits.append(fault)
        return hits

    def spoil(self, list_name: str, objects: list[dict[str, Any]]) -> None:
        """Apply the faults of the stage `rows` to the objects of a page."""
        for fault in self.faults:
            if fault.kind.stage != "rows" or fault.list not in (None, list_name):
                continue
            apply: Callable[[dict[str, Any], Any], None] = fault.kind.setting["apply"]
            for obj in objects:
                if chance(self._seed, fault.name, obj["attributes"].get("id")) < fault.rate:
                    apply(obj, fault.value)

    def as_json(self) -> list[dict[str, Any]]:
        """Return the active faults as the control endpoint reports them."""
        return [asdict(fault) for fault in self.faults]
