"""Signatures of deliveries: both forms, and what is refused."""

from __future__ import annotations

import hmac
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from pipelines.webhooks.signatures import Refusal, Signed, verify

NOW = datetime(2026, 10, 5, 6, tzinfo=UTC)
BODY = b'{"event_type": "customer_vip_tier/upgraded", "vip_tier_id": 552288}'
SECRET = "whsec-0123456789abcdef"
TOPIC = "customer_vip_tier/downgraded"


def signature(content: bytes, secret: str = SECRET) -> str:
    return b64encode(hmac.new(secret.encode(), content, sha256).digest()).decode()


def newer(at: datetime | str = NOW, body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    timestamp = at if isinstance(at, str) else str(int(at.timestamp()))
    return {
        "rivo-webhook-id": "w-1",
        "rivo-webhook-timestamp": timestamp,
        "rivo-webhook-topic": TOPIC,
        "rivo-webhook-signature": "v1," + signature(f"w-1.{timestamp}.".encode() + body, secret),
    }


def older(body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    return {"rivo-signature": signature(body, secret)}


def check(
    headers: dict[str, str], body: bytes = BODY, secrets: tuple[str, ...] = (SECRET,), path: str | None = None
) -> Signed:
    return verify(headers, body, secrets, NOW, path)


def refusal(headers: dict[str, str], body: bytes = BODY, secrets: tuple[str, ...] = (SECRET,)) -> Refusal:
    with pytest.raises(Refusal) as raised:
        check(headers, body, secrets)
    return raised.value


def test_newer_form_gives_id_time_and_topic_of_the_headers() -> None:
    assert check(newer()) == Signed("w-1", TOPIC, "id_time_body", NOW)


def test_older_form_gives_a_hash_and_the_topic_of_the_path() -> None:
    found = check(older(), path=TOPIC)

    assert (found.topic, found.form, found.sent_at) == (TOPIC, "body", None)
    assert found == check(older(), path=TOPIC)
    ids = {
        found.id,
        check(older(), path=None).id,
        check(older(b"{}"), b"{}", path=TOPIC).id,
    }
    assert len(ids) == 3


def test_hash_of_a_delivery_needs_the_secret() -> None:
    content = f"{TOPIC}\n".encode() + BODY
    assert sha256(content).hexdigest() not in check(older(), path=TOPIC).id


def test_topic_of_the_header_overrides_the_path_and_the_body() -> None:
    assert check(newer(), path="points_event/created").topic == TOPIC
    assert check(older() | {"rivo-webhook-topic": TOPIC}, path="points_event/created").topic == TOPIC


@pytest.mark.parametrize("topic", ["", "nothing", "a/b/c", "Ada@example.com/x", "a/" + "b" * 99])
def test_what_is_no_topic_is_ignored(topic: str) -> None:
    assert check(older(), path=topic).topic is None


def test_signature_without_version_and_among_others_is_accepted() -> None:
    headers = newer()
    plain = headers["rivo-webhook-signature"].removeprefix("v1,")
    assert check(headers | {"rivo-webhook-signature": plain}).id == "w-1"
    assert check(headers | {"rivo-webhook-signature": f"v1,{signature(b'')} v1,{plain}"}).id == "w-1"


def test_each_of_several_secrets_is_accepted() -> None:
    for secret in ("one", "two"):
        assert check(newer(secret=secret), secrets=("one", "two")).id == "w-1"
        assert check(older(secret=secret), secrets=("one", "two")).id.startswith("hash:")
    assert refusal(older(secret="three"), secrets=("one", "two")).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"rivo-signature": ""},
        {"rivo-signature": "ÿ"},
        older(secret="another"),
        newer(secret="another"),
        newer() | {"rivo-webhook-id": "w-2"},
        newer() | {"rivo-webhook-timestamp": str(int(NOW.timestamp()) + 1)},
        {name: value for name, value in newer().items() if name != "rivo-webhook-id"},
        {name: value for name, value in newer().items() if name != "rivo-webhook-timestamp"},
        # A right signature of the older form does not make up for a wrong one of the newer form.
        newer(secret="another") | older(),
    ],
)
def test_wrong_signature_is_refused(headers: dict[str, str]) -> None:
    assert refusal(headers).status == 401


@pytest.mark.parametrize("headers", [newer(), older()])
def test_changed_body_is_refused(headers: dict[str, str]) -> None:
    assert refusal(headers, BODY + b" ").status == 401


@pytest.mark.parametrize(
    ("age", "accepted"),
    [(timedelta(0), True), (timedelta(minutes=5), True), (timedelta(minutes=5, seconds=1), False)],
)
@pytest.mark.parametrize("direction", [1, -1])
def test_time_must_be_within_five_minutes(age: timedelta, accepted: bool, direction: int) -> None:
    headers = newer(NOW - direction * age)
    if accepted:
        assert check(headers).id == "w-1"
    else:
        assert refusal(headers).status == 400


@pytest.mark.parametrize(
    "text", ["1791180000", "1791180000123", "2026-10-05T06:00:00Z", "2026-10-05T06:00:00"]
)
def test_time_can_be_in_seconds_milliseconds_or_iso(text: str) -> None:
    assert check(newer(text)).sent_at == NOW + timedelta(milliseconds=123 if text.endswith("123") else 0)


@pytest.mark.parametrize("text", ["soon", "99999999999999999999", "-1", "٣"])
def test_unreadable_time_is_refused(text: str) -> None:
    assert refusal(newer(text)).status == 400


def test_refusal_quotes_nothing_of_the_delivery() -> None:
    for headers in (newer(NOW - timedelta(days=1)), newer(secret="another"), newer("soon")):
        sentence = refusal(headers).sentence
        assert not any(word in sentence for word in ("w-1", SECRET, "soon", "552288"))
