"""Redaction of a row: no personal value is left at any depth, and other values stay."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.privacy.erased import ErasedPeople, address_of
from pipelines.privacy.personal import redact_row
from pipelines.privacy.pseudonyms import Pseudonyms
from pipelines.rivo.endpoints import ENDPOINTS
from tests.pipelines.privacy.traces import KEY

SECRET = "Zoë Geheim"
ADDRESS = "Zoe.Geheim@Example.com"
token = Pseudonyms(KEY).token
nothing = lambda _text, _is_email: None  # noqa: E731

LEAVES = st.sampled_from([SECRET, ADDRESS, f"for {ADDRESS}, thanks", 12, 1.5, True, None, ""])
NESTED = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "email", "note", ADDRESS, "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
PEOPLE = ("customers", "points_events", "points_redemptions", "referrals")


@given(
    name=st.sampled_from(PEOPLE),
    data=st.data(),
    replacer=st.sampled_from([token, nothing]),
)
def test_redact_row_removes_personal_undeclared_and_nested_values(
    name: str, data: Any, replacer: Any
) -> None:
    columns = ENDPOINTS[name].columns
    personal = [c.name for c in columns if c.personal or c.nested == "customers"]
    attributes = data.draw(st.dictionaries(st.sampled_from([*personal, "unheard_of", "account"]), NESTED))
    row = {"id": 5, "type": name, "attributes": attributes, "relationships": data.draw(NESTED)}

    redacted = json.dumps(redact_row(name, row, replacer), ensure_ascii=False)

    assert SECRET not in redacted
    assert "geheim" not in redacted.lower()


@given(row=NESTED)
def test_redact_row_removes_personal_values_from_a_malformed_row(row: Any) -> None:
    assert "geheim" not in json.dumps(redact_row("customers", row, nothing), ensure_ascii=False).lower()


def test_redact_row_gives_equal_tokens_to_equal_addresses_and_keeps_other_values() -> None:
    attributes = {
        "email": " Ada@Example.com ",
        "first_name": "Ada",
        "dob": "12-10",
        "points_tally": 7,
        "shopify_tags": ["vip"],
        "vip_tier": {"id": 1, "name": "Gold", "perks": ["Free shipping"], "set_by": "staff@shop.example"},
        "remote_updated_at": "2026-01-01T00:00:00Z",
        "phone": 4915112345678,
        "visits": 3,
        "seen_on": "2026-01-01T00:00:00Z",
    }
    redacted = redact_row("customers", {"id": 1, "type": "customer", "attributes": attributes}, token)
    referral = redact_row("referrals", {"id": 2, "attributes": {"advocate_email": "ada@example.com"}}, token)

    own = redacted["attributes"]
    assert own["email"] == referral["attributes"]["advocate_email"] == token("ada@example.com")
    assert len(own["email"]) == 32
    assert own["first_name"] not in ("Ada", None)
    assert own["shopify_tags"] == [token("vip")]
    assert own["vip_tier"] == {
        "id": 1,
        "name": "Gold",
        "perks": ["Free shipping"],
        "set_by": token("staff@shop.example"),
    }
    assert (own["phone"], own["visits"], own["seen_on"]) == (None, 3, "2026-01-01T00:00:00Z")
    assert (own["points_tally"], own["remote_updated_at"]) == (7, "2026-01-01T00:00:00Z")
    assert Pseudonyms("another key, just as long").token("Ada") != token("Ada")


ADA = 7198630248648


@pytest.mark.parametrize(
    "text",
    [
        "ada@example.com",
        "ADA@example.com",
        f"gid://shopify/Customer/{ADA}",
        f"see {ADA}.",
        f"{ADA}",
        "?ref=ADA-77",
    ],
)
def test_erased_people_are_replaced_in_any_text(text: str) -> None:
    known = {"ada@example.com", str(ADA), "ada-77"}
    erased = ErasedPeople(lambda word: -5 if word.lower() in known else None)

    row = {
        "id": 1,
        "attributes": {"title": text, "step_id": text, "new": text, "customer": {"id": 8, "note": [text]}},
    }
    redacted = json.dumps(erased.redact_row("points_events", row)).lower()

    assert not any(word in redacted for word in known)
    near = {"id": ADA * 10, "attributes": {"title": f"1{ADA}"}}
    assert erased.redact_row("points_events", near) == near


@pytest.mark.parametrize("id", [7, 7001, ADA])
def test_erased_people_leaves_a_number_equal_to_an_id_in_other_columns(id: int) -> None:
    erased = ErasedPeople(lambda word: -5 if word == str(id) else None)
    attributes = {
        "points_diff": id,
        "credits_diff": str(id),
        "earning_rule_id": id,
        "customer": {"id": id, "points_tally": id, "vip_tier": {"id": id, "threshold": id}},
    }
    event = {"id": id, "attributes": attributes}
    customer = {**attributes["customer"], "id": -5}  # type: ignore[dict-item]
    assert erased.redact_row("points_events", event) == {
        "id": id,
        "attributes": {**attributes, "customer": customer},
    }
    own = {"id": str(id), "attributes": {"id": [3, id], "orders_count": id}}
    assert erased.redact_row("customers", own) == {
        "id": -5,
        "attributes": {"id": [3, -5], "orders_count": id},
    }


@pytest.mark.parametrize("id", [7, 7001])
def test_erased_people_leaves_short_numbers_in_texts(id: int) -> None:
    erased = ErasedPeople(lambda word: -5 if word == str(id) else None)
    row = {"id": 1, "attributes": {"title": f"{id} points for {id} days", "new": {"size": id}}}
    assert erased.redact_row("points_events", row) == row


def test_erased_people_replaces_a_referred_friend_but_not_the_advocate() -> None:
    erased = ErasedPeople(lambda word: -5 if word == "7001" else None)
    attributes = {
        "advocate_email": "grace@example.com",
        "referred_email": "ada@example.com",
        "referrer_customer_id": 8001,
        "referred_customer": {"id": 7001, "email": "ada@example.com", "first_name": "Ada"},
        "signup_ip": "203.0.113.5",
        "status": "pending",
    }
    assert erased.redact_row("referrals", {"id": 1, "attributes": attributes})["attributes"] == {
        "advocate_email": "grace@example.com",
        "referred_email": address_of(-5),
        "referrer_customer_id": 8001,
        "referred_customer": {"id": -5, "email": address_of(-5), "first_name": None},
        "signup_ip": None,
        "status": "pending",
    }
