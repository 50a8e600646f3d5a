"""Webhooks of the sandbox: what they report, and that their signatures are Rivo's."""

from __future__ import annotations

import hmac
import json
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest

from sandbox import Event, Program, ProgramOptions, Sender, Server, serve
from tests.sandbox.client import call, send, walk

SECRET = "sandbox-secret"
OPTIONS = ProgramOptions(customers=40, months=4)


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)


@dataclass
class Listener:
    url: str = ""
    received: list[Received] = field(default_factory=list)
    refusals: int = 0
    """How many of the next requests are answered with 503."""


@contextmanager
def listening() -> Iterator[Listener]:
    listener = Listener()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            listener.received.append(Received(self.path, headers, body))
            listener.refusals -= 1
            self.send_response(503 if listener.refusals >= 0 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    listener.url = f"http://127.0.0.1:{http.server_address[1]}/hooks"
    try:
        yield listener
    finally:
        http.shutdown()
        http.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture
def shop(listener: Listener) -> Iterator[Server]:
    with serve(Program(OPTIONS), rate_limit=0, webhooks=Sender(listener.url, SECRET)) as server:
        yield server


def members(shop: Server) -> list[dict[str, Any]]:
    rows = [row["attributes"] for row in walk(shop, "customers")]
    return [row for row in rows if row["loyalty_status"] == "member" and row["vip_tier"]]


def tiers(shop: Server) -> list[dict[str, Any]]:
    rows = [row["attributes"] for row in walk(shop, "vip_tiers")]
    return sorted(rows, key=lambda row: row["threshold"])


def signature(content: bytes) -> str:
    return b64encode(hmac.new(SECRET.encode(), content, sha256).digest()).decode()


def test_call_that_sets_a_tier_is_reported_with_the_newer_signature(shop: Server, listener: Listener) -> None:
    lowest, *_, highest = tiers(shop)
    customer = next(row for row in members(shop) if row["vip_tier"]["id"] != highest["id"])
    for tier in (highest, lowest, lowest):
        assert send(shop, f"/customers/{customer['id']}/vip_tier", vip_tier_id=tier["id"]).status == 201
    shop.deliveries.wait()

    up, down = listener.received
    assert shop.deliveries.statuses == [200, 200]
    assert up.headers["rivo-webhook-topic"] == "customer_vip_tier/upgraded"
    assert down.headers["rivo-webhook-topic"] == "customer_vip_tier/downgraded"
    assert down.content["event_type"] == "customer_vip_tier/upgraded", "as in Rivo's sample"
    assert (down.content["vip_tier_id"], down.content["customer"]["id"]) == (lowest["id"], customer["id"])
    assert down.content["customer"]["vip_tier"]["id"] == lowest["id"]
    names = ("rivo-webhook-id", "rivo-webhook-timestamp", "rivo-webhook-signature")
    id, moment, given = (up.headers[name] for name in names)
    assert given == "v1," + signature(f"{id}.{moment}.".encode() + up.body)
    assert abs(time.time() - int(moment)) < 60
    assert id != down.headers["rivo-webhook-id"]


def test_points_and_redemptions_are_reported_with_flat_bodies(shop: Server, listener: Listener) -> None:
    customer = max(members(shop), key=lambda row: row["points_tally"])
    rewards = [row["attributes"] for row in walk(shop, "rewards")]
    reward = next(
        row
        for row in rewards
        if row["enabled"] and row["points_type"] == "fixed" and row["source"] == "points"
    )
    added = send(
        shop, "/points_events", customer_identifier=customer["id"], source="manual", points_amount=5000
    )
    redeemed = send(shop, "/points_redemptions", customer_identifier=customer["id"], reward_id=reward["id"])
    refused = send(shop, "/points_events", customer_identifier="unknown", source="manual", points_amount=1)
    shop.deliveries.wait()

    assert (added.status, redeemed.status, refused.status) == (201, 201, 404)
    topics = [each.headers["rivo-webhook-topic"] for each in listener.received]
    assert topics == ["points_event/created", "points_redemption/created", "points_event/created"]
    assert listener.received[0].content == added.json["data"]["attributes"]
    assert listener.received[1].content["id"] == redeemed.json["data"]["id"]


def test_clock_that_moves_reports_what_happened(shop: Server, listener: Listener) -> None:
    before = {
        name: {row["id"] for row in walk(shop, name)} for name in ("points_events", "points_redemptions")
    }
    start = shop.now
    call(shop, "/_sandbox/clock", "POST", body=json.dumps({"advance_seconds": 20 * 86_400}))
    shop.deliveries.wait()

    for name, topic in (
        ("points_events", "points_event/created"),
        ("points_redemptions", "points_redemption/created"),
    ):
        new = {row["id"] for row in walk(shop, name)} - before[name]
        ids = [
            each.content["id"] for each in listener.received if each.headers["rivo-webhook-topic"] == topic
        ]
        # The attribute of a points event can be [shop id, event id].
        reported = [id[-1] if isinstance(id, list) else id for id in ids]
        assert sorted(reported) == sorted(new)
        assert new
    spells = shop.program.truth.tier_spells(shop.now)
    entered = {
        (spell.customer_id, spell.tier_id)
        for previous, spell in pairwise(spells)
        if spell.entered_at > start and spell.tier_id and previous.customer_id == spell.customer_id
    }
    moved = [each.content for each in listener.received if "vip_tier" in each.headers["rivo-webhook-topic"]]
    assert {(each["customer"]["id"], each["vip_tier_id"]) for each in moved} == entered
    assert entered
    listener.received.clear()
    shop.now -= timedelta(days=1)
    shop.deliveries.wait()
    assert listener.received == []


def test_older_form_signs_the_body_and_puts_the_topic_into_the_path(listener: Listener) -> None:
    sender = Sender(listener.url, SECRET, "older")
    event = Event("points_event/created", {"id": 1})

    assert sender.send(event) == 200

    [received] = listener.received
    assert received.path == "/hooks/points_event/created"
    assert received.headers["rivo-signature"] == signature(received.body)
    assert not any(name.startswith("rivo-webhook") for name in received.headers)


def test_repeated_late_and_forged_deliveries_can_be_sent(listener: Listener) -> None:
    sender = Sender(listener.url, SECRET)
    event = Event("points_event/created", {"id": 1})
    sender.send(event)
    sender.send(event)
    sender.send(event, age=600)
    sender.send(event, secret="another")

    first, second, late, forged = listener.received
    assert first.headers["rivo-webhook-id"] == second.headers["rivo-webhook-id"]
    ages = [time.time() - int(each.headers["rivo-webhook-timestamp"]) for each in (first, late)]
    assert ages[0] < 60
    assert 600 <= ages[1] < 660
    content = f"{event.id}.{forged.headers['rivo-webhook-timestamp']}.".encode() + forged.body
    assert forged.headers["rivo-webhook-signature"] != "v1," + signature(content)


def test_delivery_without_answer_200_is_sent_again(
    shop: Server, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.webhooks._PAUSE_SECONDS", 0)
    listener.refusals = 2

    send(shop, "/points_events", customer_identifier=members(shop)[0]["id"], source="manual", points_amount=1)
    shop.deliveries.wait()

    assert shop.deliveries.statuses == [200]
    assert len({each.headers["rivo-webhook-id"] for each in listener.received}) == 1
    assert len(listener.received) == 3
