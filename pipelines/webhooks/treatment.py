"""What is kept of a delivery: ids and times read from its body, and the body without what must not be stored.

Applied before a delivery is written, and again when it is loaded, since RIVO_PII may have changed and people may have
been erased in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

import orjson

from pipelines.errors import SettingsError, command
from pipelines.privacy.erased import ErasedPeople
from pipelines.privacy.pseudonyms import Pseudonyms
from pipelines.privacy.redaction import identifier_of, replacer_of
from pipelines.privacy.webhook_bodies import redact_body, without_staff_notes
from pipelines.rivo.decode import as_id
from pipelines.rivo.repair import is_too_deep
from pipelines.rivo.types import TYPES
from pipelines.settings import Settings
from pipelines.webhooks.signatures import Signed

Identifier = tuple[str, int, str]
"""A row of `rivo_raw._forgotten`: the keyed hash of an id, address or code, the pseudonym, and the hash of the key."""


@dataclass(frozen=True)
class Delivery:
    """A delivery as it is kept. Times are UTC in ISO 8601; `body` is JSON.

    `pii` says how personal data in the body was treated: 'keep', 'drop', or 'hash:' and a hash of the key.
    """

    id: str
    topic: str | None
    form: str
    received_at: str
    sent_at: str | None
    started_at: str | None
    object_id: int | None
    customer_id: int | None
    vip_tier_id: int | None
    pii: str
    body: str | None


COLUMNS = tuple(field.name for field in fields(Delivery))
"""The names of a delivery's values, in order."""
values_of: Callable[[Delivery], tuple[Any, ...]] = attrgetter(*COLUMNS)
"""Returns the values of a delivery, in the order of `COLUMNS`."""


def delivery_of(signed: Signed, body: bytes, received_at: datetime) -> Delivery:
    """Return a delivery with the ids and times of its body, and the body itself without the notes of staff.

    A body that is not a JSON object is left out, because it cannot be searched for personal data.
    """
    content = _content(body)
    topic = signed.topic
    given = content.get("id")
    # The id of a points event can be [shop id, event id].
    own_id = as_id(given[-1] if isinstance(given, list) and given else given)
    is_customer = (topic or "").startswith("customer/")
    return Delivery(
        id=signed.id,
        topic=topic,
        form=signed.form,
        received_at=received_at.astimezone(UTC).isoformat(),
        sent_at=signed.sent_at.astimezone(UTC).isoformat() if signed.sent_at else None,
        started_at=_time(content.get("started_at")),
        object_id=None if is_customer else own_id,
        customer_id=_nested_id(content, "customer") or (own_id if is_customer else None),
        vip_tier_id=_nested_id(content, "vip_tier"),
        pii="keep",
        body=orjson.dumps(without_staff_notes(content)).decode() if content else None,
    )


def _content(body: bytes) -> dict[str, Any]:
    try:
        content = None if is_too_deep(body) else orjson.loads(body)
    except orjson.JSONDecodeError:
        content = None
    return content if isinstance(content, dict) else {}


def _nested_id(content: dict[str, Any], name: str) -> int | None:
    """Return the id `<name>_id` of a body, or that of the object `<name>` inside it."""
    nested = content.get(name)
    own = as_id(content.get(f"{name}_id"))
    return own if own is not None else as_id(nested.get("id") if isinstance(nested, dict) else None)


def _time(value: Any) -> str | None:
    try:
        moment = TYPES["timestamp"].parse(value)
    except ValueError:
        return None
    return moment.isoformat() if moment else None


class Treatment:
    """Removes from deliveries what RIVO_PII does not allow, and the people who were erased.

    Args:
        settings: RIVO_PII and RIVO_PII_KEY.
        erased: the rows of `_forgotten`.

    Raises:
        SettingsError: people were erased under another RIVO_PII_KEY, so they cannot be recognised.
    """

    def __init__(self, settings: Settings, erased: Iterable[Identifier]) -> None:
        pseudonyms = Pseudonyms.of(settings)
        keys = {identifier: key for identifier, key, _ in erased}
        checks = {check for _, _, check in erased}
        if checks - {pseudonyms.check if pseudonyms else ""}:
            key = settings.variable("pii_key")
            raise SettingsError(
                f"People were erased under another {key}, so they cannot be recognised in deliveries of "
                f"webhooks. Set {key} to that key. If it is lost, run `{command()} forget --key-lost`."
            )
        self.mode = f"hash:{pseudonyms.check}" if settings.pii == "hash" and pseudonyms else settings.pii
        self._replacer = replacer_of(settings)

        @lru_cache(maxsize=20_000)
        def key_of(word: str) -> int | None:
            return keys.get(identifier_of(word, settings, pseudonyms)) if pseudonyms else None

        self._key_of = key_of
        self._erased = ErasedPeople(key_of) if keys else None

    def apply(self, delivery: Delivery) -> Delivery:
        """Return the delivery as it may be stored.

        One that names an erased person keeps its topic, ids and times under the person's pseudonym, and loses its body.
        """
        treated = delivery
        if self._erased and self._names_erased(delivery):
            key = None if delivery.customer_id is None else self._key_of(str(delivery.customer_id))
            treated = replace(treated, customer_id=delivery.customer_id if key is None else key, body=None)
        if treated.body is None:
            return replace(treated, pii=self.mode)
        if treated.pii == self.mode or self._replacer is None:
            return treated
        # A text hashed with another key cannot be converted.
        replacer = _drop if treated.pii.startswith("hash:") else self._replacer
        body = orjson.dumps(redact_body(treated.topic, orjson.loads(treated.body), replacer)).decode()
        return replace(treated, pii=self.mode, body=body)

    def _names_erased(self, delivery: Delivery) -> bool:
        assert self._erased
        if delivery.customer_id is not None and self._key_of(str(delivery.customer_id)) is not None:
            return True
        return delivery.body is not None and self._erased.occur_in(delivery.body)


def _drop(_text: str, _is_email: bool) -> None:
    return None
