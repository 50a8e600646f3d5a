"""Answers requests: routes, API key, rate limit, faults. Independent of sockets."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

from sandbox import paging
from sandbox.clock import from_ms, http_date, parse, to_ms
from sandbox.faults import KINDS, Fault, FaultLike, Switchboard
from sandbox.journal import Journal
from sandbox.program import Program
from sandbox.rows import LISTS
from sandbox.webhooks import Deliveries, events_between
from sandbox.writes import Mail, Refused, Shop, write

BASE = "/merchant_api/v1"
CONTROL = "/_sandbox"
JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"

_MESSAGES = {
    400: "Bad request",
    401: "Invalid API key",
    403: "This API key is not allowed to do that",
    404: "Not found",
    405: "Method not allowed",
    429: "Rate limit exceeded",
    500: "Internal server error",
}
_PAGES_KEPT = 400
_REQUESTS_KEPT = 100_000


@dataclass
class Answer:
    """An answer, and the faults to apply when it is sent."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    wire: list[Fault] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """An entry of the request log. `params` are decoded; `faults` are the names of the faults applied."""

    method: str
    path: str
    params: dict[str, str]
    status: int
    faults: tuple[str, ...] = ()


class Bucket:
    """Token bucket: a number of requests per second in real time, with bursts of one second's worth."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._left = rate
        self._at = time.monotonic()
        self._lock = Lock()

    def take(self) -> bool:
        """Take a token; return whether there was one."""
        if not self.rate:
            return True
        with self._lock:
            now = time.monotonic()
            self._left = min(self.rate, self._left + (now - self._at) * self.rate)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


def failure(status: int, message: str | None = None, form: str = "error") -> Answer:
    """Return an error answer in one of the known formats: error, message, errors, html."""
    text = message or _MESSAGES.get(status, "Something went wrong")
    if form == "html":
        page = f"<!DOCTYPE html><html><head><title>{status}</title></head><body><h1>{text}</h1></body></html>"
        return Answer(status, page.encode(), HTML)
    body = {"errors": [text]} if form == "errors" else {form: text}
    return Answer(status, orjson.dumps(body))


def _fields(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the fields of a body, which is a form or JSON.

    Raises:
        Refused: it is neither.
    """
    if not headers.get("Content-Type", "").startswith("application/json"):
        return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refused(400, "The body is not JSON.") from None
    if not isinstance(given, dict):
        raise Refused(400, "The body must be an object.")
    return given


class Api:
    """The API of one shop at a virtual time that only moves when it is set."""

    def __init__(
        self,
        program: Program,
        now: datetime,
        key: str,
        faults: Iterable[FaultLike] | FaultLike = (),
        rate_limit: float = 15,
        journal: Journal | None = None,
        deliveries: Deliveries | None = None,
    ) -> None:
        self.program = program
        self._journal = journal
        if journal:
            journal.replay(program)
        self.key = key
        self.board = Switchboard(program.options.seed, faults)
        self.bucket = Bucket(rate_limit)
        self.requests: list[Request] = []
        self.mails: list[Mail] = []
        self.deliveries = deliveries
        self._now = to_ms(now)
        self.date_offset = timedelta()
        self._pages: dict[tuple[Any, ...], bytes] = {}
        self._writing = Lock()

    @property
    def now(self) -> datetime:
        """The virtual time."""
        return from_ms(self._now)

    @now.setter
    def now(self, moment: datetime) -> None:
        before, self._now = self.now, to_ms(moment)
        if self.deliveries and self.now > before:
            self.deliveries.put(events_between(self.program, before, self.now))

    @property
    def date(self) -> str:
        """The virtual time as a `Date` header."""
        return http_date(self._now + int(self.date_offset / timedelta(milliseconds=1)))

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer a request."""
        parts = urlsplit(target)
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.path.startswith(CONTROL + "/"):
            return self._control(method, parts.path[len(CONTROL) + 1 :], body)
        answer = self._answer(method, parts.path, params, headers, body)
        names = tuple(fault.name for fault in answer.wire)
        self.requests.append(Request(method, unquote(parts.path), params, answer.status, names))
        if len(self.requests) > _REQUESTS_KEPT:
            del self.requests[: _REQUESTS_KEPT // 2]
        return answer

    def _answer(
        self, method: str, path: str, params: dict[str, str], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        if not path.startswith(BASE + "/"):
            return failure(404)
        if headers.get("Authorization") != self.key:
            return failure(401)
        if not self.bucket.take():
            answer = failure(429, form="errors")
            answer.headers["Retry-After"] = "1"
            return answer
        name, *rest = path[len(BASE) + 1 :].rstrip("/").split("/")
        hits = self.board.for_request(name if name in LISTS else None)
        answer = self._spoilt(hits) or (
            self._route(path, name, rest, params, hits)
            if method == "GET"
            else self._write(method, name, rest, headers, body, hits)
        )
        answer.wire = hits
        return answer

    def _spoilt(self, hits: list[Fault], stage: str = "answer") -> Answer | None:
        for fault in hits:
            if fault.kind.stage != stage:
                continue
            setting = fault.kind.setting
            answer = failure(setting["status"], form=setting["body"])
            seconds = int(fault.value or 1)
            if setting.get("retry_after") == "seconds":
                answer.headers["Retry-After"] = str(seconds)
            elif setting.get("retry_after") == "date":
                answer.headers["Retry-After"] = http_date(self._now + seconds * 1000)
            return answer
        return None

    def _route(
        self, path: str, name: str, rest: list[str], params: dict[str, str], hits: list[Fault]
    ) -> Answer:
        if name not in LISTS or len(rest) > 1:
            return failure(404)
        if rest:
            return self._single(name, unquote(rest[0]))
        crooked = frozenset(fault.name for fault in hits if fault.kind.stage == "paging")
        try:
            return Answer(200, self._page(path, name, params, crooked))
        except paging.BadRequest as error:
            return failure(400, str(error))

    def _page(self, path: str, name: str, params: dict[str, str], crooked: frozenset[str]) -> bytes:
        view = self.program.view(self._now)
        key = (view.t, view.revision, self.board.revision, name, tuple(sorted(params.items())), crooked)
        body = self._pages.get(key)
        if body is None:
            links, objects = paging.page(view, name, params, path, crooked)
            self.board.spoil(name, objects)
            body = orjson.dumps({"links": links, "data": objects})
            if len(self._pages) >= _PAGES_KEPT:
                self._pages.clear()
            self._pages[key] = body
        return body

    def _single(self, name: str, identifier: str) -> Answer:
        view = self.program.view(self._now)
        row = None
        if name == "customers":
            row = paging.find_customer(view, identifier)
        elif name == "vip_tiers" and identifier.isdecimal():
            row = view.find(name, int(identifier))
        if row is None:
            return failure(404)
        obj = view.object(name, row)
        self.board.spoil(name, [obj])
        return Answer(200, orjson.dumps({"data": obj}))

    def _write(
        self,
        method: str,
        name: str,
        rest: list[str],
        headers: Mapping[str, str],
        body: bytes,
        hits: list[Fault],
    ) -> Answer:
        if name not in LISTS:
            return failure(404)
        recalculates = any(fault.name == "tier_recalculated" for fault in hits)
        shop = Shop(self.program, self.now, self.mails, recalculates)
        path = "/".join([name, *map(unquote, rest)])
        try:
            fields = _fields(headers, body)
            # One after the other, as by the lock of a database row.
            with self._writing:
                status, objects = write(shop, method, path, fields)
                if self._journal:
                    self._journal.append(self.now, method, path, fields, recalculates_tiers=recalculates)
        except Refused as refusal:
            return failure(refusal.status, refusal.message, form="errors")
        finally:
            if self.deliveries:
                self.deliveries.put(shop.events)
        return self._spoilt(hits, "landed") or Answer(status, orjson.dumps({"data": objects}))

    # -- the control endpoints ----------------------------------------------------------------------

    def _control(self, method: str, what: str, body: bytes) -> Answer:
        if what not in ("clock", "faults"):
            return failure(404)
        try:
            given = orjson.loads(body) if method == "POST" else None
            if what == "clock":
                return self._control_clock(given)
            if given is not None:
                self.board.set(given["faults"] if isinstance(given, dict) else given)
        except (ValueError, KeyError, TypeError) as error:
            return failure(400, str(error))
        known = {name: kind.about for name, kind in KINDS.items()}
        return Answer(200, orjson.dumps({"faults": self.board.as_json(), "known": known}))

    def _control_clock(self, given: Any) -> Answer:
        if given is not None:
            if "now" in given:
                self.now = parse(given["now"])
            else:
                self.now += timedelta(seconds=float(given["advance_seconds"]))
            self.program.view(self._now)
        return Answer(200, orjson.dumps({"now": from_ms(self._now).isoformat().replace("+00:00", "Z")}))
