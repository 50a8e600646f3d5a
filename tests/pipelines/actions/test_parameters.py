"""Rows of a SELECT or a file become actions, or are left out with a reason."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.actions.kinds import KINDS, call_of, parameters_of
from pipelines.actions.parameters import ActionRow, Invalid, check_columns, read_rows
from pipelines.errors import RivoError
from tests.harness.settings import make_settings

SETTINGS = make_settings()
ODD = ("five", "1e3", "7.19863E+12", "1_000", "١", "1e999999999")
"""What spreadsheets and people write, and Python would read."""


def read(kind: str, row: dict[str, Any], *key: str) -> ActionRow | Invalid:
    chosen = KINDS[kind]
    known = parameters_of(chosen, call_of(chosen, SETTINGS))
    [found] = read_rows("name", chosen, known, key, [row], lambda text: f"hash of {len(text)}")
    return found


@pytest.mark.parametrize(
    ("value", "points"),
    [(5, 5), ("5", 5), (" 5 ", 5), (5.0, 5), (Decimal("5.00"), 5), ("-7", -7), ("+5", 5)],
)
def test_whole_numbers_are_read(value: Any, points: int) -> None:
    row = read("add_points", {"customer_id": 1, "points_amount": value})
    assert isinstance(row, ActionRow)
    assert row.parameters["points_amount"] == points


@pytest.mark.parametrize(
    "value",
    [
        "1,000",
        "5.5",
        "NaN",
        "inf",
        True,
        "five",
        "1e3",
        "7.19863E+12",
        "1_000",
        "١",
        "1e999999999",
        2**31,
        "0x10",
        "5 points",
    ],
)
def test_other_amounts_are_refused(value: Any) -> None:
    row = read("add_points", {"customer_id": 1, "points_amount": value})
    assert isinstance(row, Invalid)
    assert row.reason == f"points_amount is {value!r}, not a whole number of points"


@pytest.mark.parametrize(
    ("kind", "row", "reason"),
    [
        ("add_points", {"customer_id": None, "points_amount": 5}, "customer_id is empty"),
        (
            "add_points",
            {"customer_id": 0, "points_amount": 5},
            "customer_id is 0, not an id or an e-mail address",
        ),
        (
            "add_points",
            {"customer_id": 1, "points_amount": 0},
            "points_amount and credits_amount are both empty or 0",
        ),
        (
            "add_points",
            {"customer_id": 1, "points_amount": 1, "applied_at": "soon"},
            "applied_at is 'soon', not a time",
        ),
        (
            "redeem_reward",
            {"customer_id": 1, "reward_id": 2, "points_amount": -5},
            "the amount to spend must be",
        ),
        ("update_customer", {"customer_id": 1, "dob": None}, "there is nothing to change"),
        ("update_customer", {"customer_id": 1, "dob": "31-05"}, "dob is not a day such as 05-31"),
        (
            "create_referral",
            {"email": "x", "referral_code": "c", "remote_ip": "i"},
            "email is not an e-mail address",
        ),
        ("set_vip_tier", {"customer_id": 1, "vip_tier_id": "Gold"}, "vip_tier_id is 'Gold', not an id"),
    ],
)
def test_invalid_rows_have_a_reason(kind: str, row: dict[str, Any], reason: str) -> None:
    found = read(kind, row)
    assert isinstance(found, Invalid)
    assert found.reason.startswith(reason)


def test_values_are_written_as_rivo_reads_them() -> None:
    row = {
        "customer_id": "7198630248648",
        "credits_amount": "1.50",
        "applied_at": datetime(2026, 10, 5, 6, tzinfo=UTC),
        "external_note": "",
    }
    found = read("add_points", row, "customer_id")
    assert isinstance(found, ActionRow)
    assert found.parameters == {
        "customer_id": 7198630248648,
        "credits_amount": 1.5,
        "applied_at": "2026-10-05T06:00:00Z",
    }
    assert (found.customer_id, found.points, found.credits) == (7198630248648, 0, Decimal("1.5"))
    born = read("update_customer", {"customer_id": 1, "dob": date(1990, 5, 31)}, "customer_id")
    assert isinstance(born, ActionRow)
    assert born.parameters["dob"] == "05-31"


def test_key_is_made_of_the_key_columns_and_hides_people() -> None:
    row = {"customer_id": "7", "points_amount": "5", "month": date(2026, 5, 1), "who": "Ann"}
    assert key_of("add_points", row, "month", "customer_id") == '{"customer_id": "7", "month": "2026-05-01"}'
    assert key_of("add_points", row, "who") == '{"who": "Ann"}'
    assert key_of("add_points", row | {"who": " ann@example.com "}, "who") == '{"who": "hash of 15"}'
    of_all = '{"customer_id": "7", "month": "2026-05-01", "points_amount": "5", "who": "hash of 3"}'
    assert key_of("add_points", row) == of_all, "the user did not choose these columns"
    assert key_of("update_customer", {"customer_id": 7, "dob": "05-31"}, "dob") == '{"dob": "hash of 5"}'
    missing = read("add_points", row | {"month": None}, "customer_id", "month")
    assert isinstance(missing, Invalid)
    assert missing.reason == "the key column month is empty"


def test_equal_values_of_other_types_are_one_key() -> None:
    keys = {
        key_of(
            "add_points", {"customer_id": 7, "points_amount": 1, "tier_id": tier, "campaign": campaign}, *key
        )
        for tier in (552301, "552301", 552301.0, Decimal("552301.00"), " 552301 ")
        for campaign in ("spring", " spring ")
        for key in (("tier_id", "campaign"), ("campaign", "tier_id"))
    }
    assert keys == {'{"campaign": "spring", "tier_id": "552301"}'}
    assert (
        key_of("add_points", {"customer_id": 7, "points_amount": 1, "code": "007"}, "code")
        == '{"code": "007"}'
    )


def key_of(kind: str, row: dict[str, Any], *key: str) -> str:
    found = read(kind, row, *key)
    assert isinstance(found, ActionRow), found
    return found.key


@pytest.mark.parametrize(
    ("column", "kind", "meant"),
    [
        ("points", "add_points", "points_amount"),
        ("credits", "add_points", "credits_amount"),
        ("externalnote", "add_points", "external_note"),
        ("tier_id", "set_vip_tier", "vip_tier_id"),
        ("customer", "add_points", "customer_id"),
    ],
)
def test_mistyped_columns_are_refused(column: str, kind: str, meant: str) -> None:
    chosen = KINDS[kind]
    known = parameters_of(chosen, call_of(chosen, SETTINGS))
    with pytest.raises(RivoError, match=f"has no parameter {column}. Did you mean {meant}"):
        check_columns(chosen, known, [*known, column], "people.csv")
    check_columns(chosen, known, [*known, "campaign", "reason"], "people.csv")


columns = st.sampled_from(["customer_id", "points_amount", "credits_amount", "note"])


@given(st.dictionaries(columns, st.text() | st.floats() | st.none()))
def test_any_row_is_an_action_or_left_out(row: dict[str, Any]) -> None:
    found = read("add_points", row)
    if isinstance(found, ActionRow):
        assert found.points or found.credits
        assert found.parameters["customer_id"]
