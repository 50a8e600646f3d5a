"""Personal data in the bodies of webhook deliveries: flat objects that resemble the rows of the lists."""

from __future__ import annotations

from typing import Any

from pipelines.privacy.personal import Replacer, redact_object, redact_undeclared, replace_addresses

_LIST_OF = {
    "points_event": "points_events",
    "points_redemption": "points_redemptions",
    "referral": "referrals",
    "customer": "customers",
    "reward": "rewards",
}
"""By the first part of a topic, the list whose attributes the body has. Bodies of other topics are not declared."""
_NESTED = {
    "customer": "customers",
    "referrer_customer": "customers",
    "referred_customer": "customers",
    "reward": "rewards",
    "vip_tier": "vip_tiers",
    "next_vip_tier": "vip_tiers",
}
"""By attribute, the list of an object inside a body that is not declared."""
_STAFF_NOTE = "internal_note"


def without_staff_notes(value: Any) -> Any:
    """Remove the notes of the shop's staff, which hold their addresses; syncs read the notes into `rivo_raw`."""
    if isinstance(value, dict):
        return {key: without_staff_notes(each) for key, each in value.items() if key != _STAFF_NOTE}
    if isinstance(value, list):
        return [without_staff_notes(each) for each in value]
    return value


def redact_body(topic: str | None, body: dict[str, Any], replacer: Replacer) -> dict[str, Any]:
    """Replace every personal value in the body of a delivery, by the rules for the rows of the lists."""
    name = _LIST_OF.get((topic or "").partition("/")[0])
    if name:
        return redact_object(name, body, replacer)
    return {
        replace_addresses(key, replacer): redact_object(_NESTED[key], value, replacer)
        if key in _NESTED and isinstance(value, dict)
        else redact_undeclared(value, replacer, key)
        for key, value in body.items()
    }
