"""Verifies the signature of a delivery. Two forms are known, and one webhook may send either.

- The newer form signs the webhook id, the time and the body: headers `rivo-webhook-id`, `rivo-webhook-timestamp`,
  `rivo-webhook-topic` and `rivo-webhook-signature`.
- The older form signs the body alone: header `rivo-signature`. It carries no id and no time, and its topic is known
  only from the path that the webhook is sent to.

Neither signs the topic, and the event name inside the body is wrong in one of Rivo's own samples: it is never used.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Literal

TOLERANCE = timedelta(minutes=5)
"""Maximum difference between the signed time of a delivery and this machine's clock, in both directions."""
Form = Literal["id_time_body", "body"]
"""The parts of a delivery that its signature covers."""

_TOPIC = re.compile(r"[a-z0-9_]{1,60}/[a-z0-9_]{1,60}")
_LONGEST_ID = 200
_MILLISECONDS = 100_000_000_000
"""Smallest number that counts milliseconds since 1970 rather than seconds."""


@dataclass(frozen=True)
class Signed:
    """A delivery whose signature is right.

    `id` is the webhook id, or a keyed hash of topic and body where there is none: equal for a repeated delivery.
    """

    id: str
    topic: str | None
    form: Form
    sent_at: datetime | None


class Refusal(Exception):
    """A delivery that must not be kept: the HTTP status of the answer, and a sentence that quotes nothing of it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def verify(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, path_topic: str | None
) -> Signed:
    """Verify a delivery, comparing signatures in constant time.

    Args:
        headers: by name in lower case.
        body: the bytes as received.
        secrets: the secrets that are accepted; more than one while a secret is replaced.
        now: this machine's time.
        path_topic: the topic that the path of the request names; the header overrides it.

    Raises:
        Refusal: no signature, a wrong one, or a time that is not within `TOLERANCE`.
    """
    topic = _topic(headers.get("rivo-webhook-topic")) or _topic(path_topic)
    # A delivery with headers of the newer form must pass it: the older form proves less.
    if "rivo-webhook-signature" in headers:
        return _verify_newer(headers, body, secrets, now, topic)
    if "rivo-signature" in headers:
        secret = _matching(headers["rivo-signature"], body, secrets)
        # Keyed, so that a guessed address cannot be tested against the hash of a body that held it.
        content = f"{topic or ''}\n".encode() + body
        return Signed("hash:" + hmac.new(secret.encode(), content, sha256).hexdigest(), topic, "body", None)
    raise Refusal(401, "The delivery has no signature.")


def _verify_newer(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, topic: str | None
) -> Signed:
    webhook_id, timestamp = headers.get("rivo-webhook-id", ""), headers.get("rivo-webhook-timestamp", "")
    if not webhook_id or not timestamp:
        raise Refusal(401, "The delivery has a signature, but no id or no time.")
    content = f"{webhook_id}.{timestamp}.".encode() + body
    _matching(headers["rivo-webhook-signature"], content, secrets)
    # Looked at only now, so that the answer to a forged delivery says nothing of the clock.
    sent_at = _moment(timestamp)
    if sent_at is None or len(webhook_id) > _LONGEST_ID:
        raise Refusal(400, "The delivery is signed, but its time or id cannot be read.")
    if abs(now - sent_at) > TOLERANCE:
        raise Refusal(
            400,
            f"The delivery is signed, but {'more than' if sent_at < now else 'dated more than'} "
            f"{TOLERANCE // timedelta(minutes=1)} minutes {'old' if sent_at < now else 'ahead'}. If new deliveries are "
            "refused too, correct this machine's clock.",
        )
    return Signed(webhook_id, topic, "id_time_body", sent_at)


def _matching(header: str, content: bytes, secrets: Sequence[str]) -> str:
    """Return the secret that a signature was made with; a header may hold several signatures."""
    given = [part.removeprefix("v1,").encode() for part in header.split()]
    found = None
    # All are compared, so that the time does not show which one was nearly right.
    for secret in secrets:
        right = b64encode(hmac.new(secret.encode(), content, sha256).digest())
        for each in given:
            if hmac.compare_digest(each, right):
                found = secret
    if found is None:
        raise Refusal(401, "The signature is wrong: forged, or made with another secret.")
    return found


def _topic(text: str | None) -> str | None:
    text = (text or "").strip().lower()
    return text if _TOPIC.fullmatch(text) else None


def _moment(text: str) -> datetime | None:
    """Read a time in seconds or milliseconds since 1970, or in ISO 8601; the format is not documented."""
    try:
        if not text.isascii() or not text.isdigit():
            moment = datetime.fromisoformat(text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        number = int(text[:16])
        return datetime.fromtimestamp(number / 1000 if number >= _MILLISECONDS else number, UTC)
    except (ValueError, OverflowError, OSError):
        return None
