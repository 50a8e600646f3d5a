"""Misbehaviours, as one table. Which of them happen, where and how often is set by `Fault` values.

A fault is restricted to one list or not, and has a rate: a share of the requests, or for `rows` faults a
share of the rows. The same faults and the same requests give the same misbehaviour.
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
    """A misbehaviour. `stage` says what it meddles with.

    answer   the whole answer is another one: `setting` has status, body, retry_after
    wire     how the bytes go out
    paging   which page is taken, or which links it bears
    rows     single objects: `setting["apply"]` changes one in place
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
        429, "errors", "429 with Retry-After in seconds (value, 1)", retry_after="seconds"
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
    "truncated": Kind("wire", "Content-Length is longer than the body; the connection closes"),
    "dropped": Kind("wire", "the connection closes without an answer"),
    "slow": Kind("wire", "the answer takes a while (value: milliseconds, 500)"),
    "hang": Kind("wire", "nothing comes for a long time, then the connection closes (value: seconds, 60)"),
    "cursor_ignored": Kind("paging", "since_id is ignored: always the first page"),
    "cursor_stuck": Kind("paging", "next_since_id is the since_id that was sent"),
    "old_links": Kind("paging", "cursor answers with links.self alone"),
    "next_missing": Kind("paging", "next_since_id is missing although there is more"),
    "next_null": Kind("paging", "next_since_id is null although there is more"),
    "empty_page": Kind("paging", "a page without rows"),
    "short_page": Kind("paging", "a page of one row, whatever was asked for"),
    "new_attribute": Kind("rows", "an undeclared attribute, new_attribute", {"apply": _new_attribute}),
    "type_change": Kind("rows", 'a number becomes a text: "12 pts"', {"apply": _type_change}),
    "null_id": Kind("rows", "the row's id is null", {"apply": _null_id}),
    "missing_id": Kind("rows", "the row has no id", {"apply": _no_id}),
    "missing_diff": Kind("rows", "points_diff is missing", {"apply": _no_diff}),
    "missing_attribute": Kind(
        "rows", "an attribute is missing (value: its name, vip_tier)", {"apply": _no_attribute}
    ),
    "bad_date": Kind("rows", "an impossible date, 2026-02-30", {"apply": _bad_date}),
}

_TEXT = re.compile(r"(?P<name>\w+)(:(?P<list>\w+))?(=(?P<rate>[\d.]+))?(@(?P<value>.+))?$")


@dataclass(frozen=True)
class Fault:
    """One misbehaviour at work.

    name   a key of KINDS
    list   the list it is restricted to; None: all of them
    rate   the share of requests or rows it hits
    value  what some kinds take: seconds, milliseconds, the value of a new attribute
    times  how often it happens at most (not for `rows` faults); None: without end
    """

    name: str
    list: str | None = None
    rate: float = 1.0
    value: Any = None
    times: int | None = None

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        if self.name not in KINDS:
            raise ValueError(f"no fault {self.name!r}; there are {', '.join(KINDS)}")
        if self.list is not None and self.list not in LISTS:
            raise ValueError(f"no list {self.list!r}; there are {', '.join(LISTS)}")
        if not 0 <= self.rate <= 1:
            raise ValueError(f"the rate of {self.name} must lie between 0 and 1")

    @classmethod
    def parse(cls, given: str | Mapping[str, Any] | Fault) -> Fault:
        """A fault from `NAME[:list][=rate][@value]`, or from a mapping with the fields' names."""
        if isinstance(given, Fault):
            return given
        if not isinstance(given, str):
            return cls(**given)
        match = _TEXT.match(given)
        if not match:
            raise ValueError(f"cannot read the fault {given!r}: NAME[:list][=rate][@value]")
        value: Any = match["value"]
        if value is not None and re.fullmatch(r"[\d.]+", value):
            value = float(value)
        rate = 1.0 if match["rate"] is None else float(match["rate"])
        return cls(match["name"], match["list"], rate, value)

    @property
    def kind(self) -> Kind:
        """What the table says about it."""
        return KINDS[self.name]


FaultLike = str | Mapping[str, Any] | Fault


class Switchboard:
    """The faults at work, and how often each was asked and happened."""

    def __init__(self, seed: int, faults: Iterable[FaultLike] | FaultLike = ()) -> None:
        self._seed = seed
        self._lock = Lock()
        self.revision = 0
        self.set(faults)

    def set(self, faults: Iterable[FaultLike] | FaultLike) -> None:
        """Replace all faults; their counts start anew."""
        if isinstance(faults, str | Mapping | Fault):
            faults = [faults]
        parsed = [Fault.parse(fault) for fault in faults]
        with self._lock:
            self.faults: tuple[Fault, ...] = tuple(parsed)
            self._asked = [0] * len(parsed)
            self._happened = [0] * len(parsed)
            self.revision += 1

    def for_request(self, list_name: str | None) -> list[Fault]:
        """The faults, other than of rows, that hit this request."""
        hits = []
        with self._lock:
            for place, fault in enumerate(self.faults):
                if fault.kind.stage == "rows" or fault.list not in (None, list_name):
                    continue
                self._asked[place] += 1
                spent = fault.times is not None and self._happened[place] >= fault.times
                if not spent and chance(self._seed, fault.name, place, self._asked[place]) < fault.rate:
                    self._happened[place] += 1
                    hits.append(fault)
        return hits

    def spoil(self, list_name: str, objects: list[dict[str, Any]]) -> None:
        """Let the faults of rows at the objects of a page."""
        for fault in self.faults:
            if fault.kind.stage != "rows" or fault.list not in (None, list_name):
                continue
            apply: Callable[[dict[str, Any], Any], None] = fault.kind.setting["apply"]
            for obj in objects:
                if chance(self._seed, fault.name, obj["attributes"].get("id")) < fault.rate:
                    apply(obj, fault.value)

    def as_json(self) -> list[dict[str, Any]]:
        """The faults at work, as the control address tells them."""
        return [asdict(fault) for fault in self.faults]
