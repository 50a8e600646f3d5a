"""Webhooks: the events of the programme, and their deliveries to an address with either form of signature.

Rivo signs the id, the time and the body ("newer"), or the body alone ("older"); the older form has no headers but the
signature, so that its topic is known only from the address. Bodies are flat, and the one of a downgrade calls itself an
upgrade, as Rivo's sample does.
"""

from __future__ import annotations

import hmac
import http.client
import queue
import threading
import time
import uuid
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from typing import Literal
from urllib.parse import urlsplit

import orjson

from sandbox.clock import iso, to_ms
from sandbox.program import Program
from sandbox.rows import Attributes
from sandbox.view import View

Form = Literal["newer", "older"]
POINTS, REDEMPTION = "points_event/created", "points_redemption/created"
UPGRADE, DOWNGRADE = "customer_vip_tier/upgraded", "customer_vip_tier/downgraded"
_ATTEMPTS = 5
_PAUSE_SECONDS = 0.5
_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Event:
    """Something that a webhook reports: its topic, and its body. `id` is the same in repeated deliveries."""

    topic: str
    body: Attributes
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


def tier_event(view: View, customer: Attributes, before: int | None, after: int, at: datetime) -> Event:
    """Return the event of a customer who moved from the tier `before` (None: no tier) to the tier `after`."""
    thresholds = {id: card["threshold"] for id, card in view.tier_cards.items()}
    is_downgrade = before is not None and thresholds.get(before, -1) > thresholds[after]
    body = {
        "event_type": UPGRADE,
        "vip_tier_id": after,
        "started_at": iso(to_ms(at)),
        "customer": customer,
        "vip_tier": view.tier_cards[after],
    }
    return Event(DOWNGRADE if is_downgrade else UPGRADE, body)


def events_between(program: Program, since: datetime, until: datetime) -> list[Event]:
    """Return the events that the simulation has after `since` and not after `until`, in order of time."""
    view, start = program.view(until), to_ms(since)
    found: list[tuple[int, Event]] = []
    for name, topic in (("points_events", POINTS), ("points_redemptions", REDEMPTION)):
        for row in view.rows(name):
            if row.at > start:
                found.append((row.at, Event(topic, view.object(name, row)["attributes"])))
    for before, after in pairwise(program.truth.tier_spells(until)):
        is_move = before.customer_id == after.customer_id and after.tier_id in view.tier_cards
        row = view.find("customers", after.customer_id)
        if is_move and row is not None and since < after.entered_at <= until and after.tier_id is not None:
            customer = view.object("customers", row)["attributes"]
            event = tier_event(view, customer, before.tier_id, after.tier_id, after.entered_at)
            found.append((to_ms(after.entered_at), event))
    return [event for _, event in sorted(found, key=lambda each: each[0])]


class Sender:
    """Sends deliveries to an address, over one connection that stays open.

    Args:
        url: where to send to; the older form appends the topic.
        secret: the secret of the signatures.
        form: the form of the signatures.
    """

    def __init__(self, url: str, secret: str, form: Form = "newer") -> None:
        self._parts = urlsplit(url)
        self._secret = secret
        self.form = form
        self._connection = http.client.HTTPConnection(self._parts.netloc, timeout=_TIMEOUT_SECONDS)

    def send(
        self, event: Event, *, form: Form | None = None, secret: str | None = None, age: float = 0
    ) -> int:
        """Send one delivery and return the status of the answer.

        Args:
            event: a delivery that is sent again is a repeated one.
            form: the form of the signature; by default the sender's.
            secret: another secret than the sender's: a forged delivery.
            age: the age of the delivery in seconds, for the form that signs a time.

        Raises:
            OSError, HTTPException: no answer came.
        """
        body = orjson.dumps(event.body)
        headers, path = {"Content-Type": "application/json"}, self._parts.path
        if (form or self.form) == "newer":
            moment = str(int(time.time() - age))
            content = f"{event.id}.{moment}.".encode() + body
            headers |= {
                "Rivo-Webhook-Id": event.id,
                "Rivo-Webhook-Timestamp": moment,
                "Rivo-Webhook-Topic": event.topic,
                "Rivo-Webhook-Signature": f"v1,{self._sign(content, secret)}",
            }
        else:
            headers["Rivo-Signature"] = self._sign(body, secret)
            path = f"{path}/{event.topic}"
        try:
            self._connection.request("POST", path, body, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        return answer.status

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _sign(self, content: bytes, secret: str | None) -> str:
        key = (secret or self._secret).encode()
        return b64encode(hmac.new(key, content, sha256).digest()).decode()


class Deliveries:
    """Sends events in the background, one after the other. What gets no answer 200 is sent again a few times."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._waiting: queue.Queue[Event | None] = queue.Queue()
        self.statuses: list[int] = []
        """Status of the last answer to each event so far; 0 where none came."""
        self._thread = threading.Thread(target=self._work, name="webhooks", daemon=True)
        self._thread.start()

    def put(self, events: Iterable[Event]) -> None:
        """Send events after those that wait already."""
        for event in events:
            self._waiting.put(event)

    def wait(self) -> None:
        """Return when everything has been sent."""
        self._waiting.join()

    def stop(self) -> None:
        """End the thread, after what it is sending now."""
        with suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()
                self._waiting.task_done()
        self._waiting.put(None)
        self._thread.join(_TIMEOUT_SECONDS)
        self._sender.close()

    def _work(self) -> None:
        while (event := self._waiting.get()) is not None:
            status = 0
            for attempt in range(_ATTEMPTS):
                if attempt:
                    time.sleep(_PAUSE_SECONDS)
                with suppress(OSError, http.client.HTTPException):
                    status = self._sender.send(event)
                if status == 200:
                    break
            self.statuses.append(status)
            self._waiting.task_done()
