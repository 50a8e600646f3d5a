"""Calls that change the shop: what they answer, and what the lists show afterwards."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox import Program, ProgramOptions, Server, serve
from tests.sandbox.client import call, send, send_json, walk

Attributes = dict[str, Any]


@pytest.fixture
def shop() -> Iterator[Server]:
    with serve(Program(ProgramOptions(customers=40, months=4)), rate_limit=0) as server:
        yield server


def customers(shop: Server, status: str = "member") -> list[Attributes]:
    rows = [row["attributes"] for row in walk(shop, "customers")]
    return [row for row in rows if row["loyalty_status"] == status]


def tally(shop: Server, customer: Attributes) -> tuple[int, float]:
    now = call(shop, f"/customers/{customer['id']}").json["data"]["attributes"]
    return now["points_tally"], float(now["credits_tally"])


def reward(shop: Server, **attributes: Any) -> Attributes:
    rows = [row["attributes"] for row in walk(shop, "rewards")]
    return next(row for row in rows if all(row[name] == value for name, value in attributes.items()))


def rich(shop: Server) -> Attributes:
    """Return the member with most points."""
    return max(customers(shop), key=lambda customer: customer["points_tally"])


FIXED = {"enabled": True, "source": "points", "points_type": "fixed", "reward_type": "fixed_amount"}


# -- points ---------------------------------------------------------------------------------------


def test_points_are_added_to_the_balance_and_listed(shop: Server) -> None:
    customer = customers(shop)[0]
    points, credits = tally(shop, customer)

    answer = send(
        shop,
        "/points_events",
        customer_identifier=customer["email"].upper(),
        source="manual",
        points_amount=25,
        credits_amount=1.5,
        internal_note="from a test",
        external_note="thank you",
        description="a name that Rivo ignores",
    )

    assert answer.status == 201
    made = answer.json["data"]["attributes"]
    assert (made["points_diff"], made["points_amount"], float(made["credits_amount"])) == (25, 25, 1.5)
    assert (made["internal_note"], made["external_note"]) == ("from a test", "thank you")
    assert "description" not in made
    assert tally(shop, customer) == (points + 25, credits + 1.5)
    assert walk(shop, "points_events")[-1]["attributes"] == made
    assert [(mail.customer_id, mail.about) for mail in shop.mails] == [(customer["id"], "points earned")]


def test_balance_has_no_floor_and_mails_can_be_left_out(shop: Server) -> None:
    customer = customers(shop)[0]
    points, credits = tally(shop, customer)
    for amount in (-points - 7, 3):
        fields = {"customer_identifier": customer["id"], "points_amount": amount, "skip_email": "true"}
        assert send(shop, "/points_events", source="manual", **fields).status == 201
    assert tally(shop, customer) == (-4, credits)
    assert shop.mails == []


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"source": "manual", "points_amount": 5}, 422, "customer_identifier is required"),
        (
            {"customer_identifier": 1, "source": "manual", "points_amount": 5},
            404,
            "Could not find a customer",
        ),
        ({"customer_identifier": "M", "points_amount": 5}, 422, "source is required"),
        ({"customer_identifier": "M", "source": "other", "points_amount": 5}, 422, "Source is not one of"),
        (
            {"customer_identifier": "M", "source": "manual", "points": 5},
            422,
            "Points amount or credits amount",
        ),
        ({"customer_identifier": "M", "source": "manual", "points_amount": "many"}, 422, "must be a number"),
        (
            {"customer_identifier": "M", "source": "manual", "points_amount": 1.5},
            422,
            "must be a whole number",
        ),
        (
            {"customer_identifier": "M", "source": "custom_action", "points_amount": 5},
            422,
            "custom_action_name",
        ),
        (
            {"customer_identifier": "X", "source": "manual", "points_amount": 5},
            422,
            "The customer is excluded",
        ),
    ],
)
def test_wrong_points_are_refused_and_change_nothing(
    fields: Attributes, status: int, message: str, shop: Server
) -> None:
    member, other = customers(shop)[0], customers(shop)[1]
    shop.program.override("customers", other["id"], shop.now, loyalty_status="excluded")
    people = {"M": member["id"], "X": other["id"]}
    fields = {name: people.get(value, value) for name, value in fields.items()}
    before = walk(shop, "points_events")

    answer = send(shop, "/points_events", **fields)

    assert answer.status == status
    assert message in answer.json["errors"][0]
    assert walk(shop, "points_events") == before


def test_batch_lands_the_valid_events_and_sends_mails(shop: Server) -> None:
    first, second = customers(shop)[:2]
    event = {"source": "manual", "points_amount": 10, "skip_email": True}
    before = tally(shop, first)[0], tally(shop, second)[0]

    good = [event | {"customer_identifier": each["id"]} for each in (first, second)]
    assert send_json(shop, "/points_events/batch", {"points_events": good}).status == 201
    partly = send_json(
        shop, "/points_events/batch", {"points_events": [good[0], event | {"customer_identifier": 1}]}
    )

    assert (partly.status, partly.json["errors"]) == (
        422,
        ["points_events[1]: Could not find a customer with that identifier."],
    )
    assert (tally(shop, first)[0], tally(shop, second)[0]) == (before[0] + 20, before[1] + 10)
    assert len(shop.mails) == 3, "the batch call has no skip_email"
    assert send_json(shop, "/points_events/batch", {"points_events": good * 6}).status == 422
    assert call(shop, "/points_events/batch", "POST", body="{", content_type="application/json").status == 400


# -- redemptions ----------------------------------------------------------------------------------


def test_reward_is_redeemed_and_refunded_once(shop: Server) -> None:
    customer, chosen = rich(shop), reward(shop, **FIXED)
    points = tally(shop, customer)[0]

    answer = send(shop, "/points_redemptions", customer_identifier=customer["id"], reward_id=chosen["id"])

    assert answer.status == 201
    made = answer.json["data"]
    assert made["attributes"]["code"].startswith("REDEEM-")
    assert made["attributes"]["points_diff"] == -chosen["points_amount"]
    entry = walk(shop, "points_events")[-1]["attributes"]
    assert (entry["source"], entry["points_purchases_id"]) == ("points_purchase", made["id"])
    assert tally(shop, customer)[0] == points - chosen["points_amount"]
    for _ in range(2):
        refunded = send(shop, f"/points_redemptions/{made['id']}/refund")
        assert refunded.status == 201
        assert refunded.json["data"]["attributes"]["refunded_at"]
        assert tally(shop, customer)[0] == points
    unknown = send(shop, "/points_redemptions/1/refund")
    assert (unknown.status, unknown.json["errors"]) == (
        404,
        ["Could not find a points redemption with that ID."],
    )


def test_redemptions_are_refused(shop: Server) -> None:
    chosen, customer = reward(shop, **FIXED), rich(shop)
    poor = min(customers(shop), key=lambda each: each["points_tally"])
    spent = {
        "customer_identifier": poor["id"],
        "source": "manual",
        "points_amount": -poor["points_tally"] - 1,
    }
    send(shop, "/points_events", **spent)
    guest = customers(shop, "guest")[0]

    def refusal(identifier: int, reward_id: int) -> tuple[int, str]:
        answer = send(shop, "/points_redemptions", customer_identifier=identifier, reward_id=reward_id)
        return answer.status, answer.json["errors"][0]

    assert refusal(poor["id"], chosen["id"]) == (422, "The customer does not have enough points.")
    assert refusal(guest["id"], chosen["id"]) == (422, "The customer is guest.")
    assert refusal(customer["id"], 1) == (404, "Could not find a reward with that ID.")
    shop.program.override("rewards", chosen["id"], shop.now, enabled=False)
    assert refusal(customer["id"], chosen["id"]) == (422, "This reward is disabled.")


# -- referrals, customers, tiers ------------------------------------------------------------------


def test_referral_needs_an_address_of_its_own(shop: Server) -> None:
    advocate = customers(shop)[0]
    fields = {
        "email": "friend@example.com",
        "referral_code": advocate["referral_code"],
        "remote_ip": "203.0.113.9",
    }

    made = send(shop, "/referrals", **fields)

    assert made.status == 201
    attributes = made.json["data"]["attributes"]
    assert (attributes["advocate_email"], attributes["referred_email"]) == (
        advocate["email"],
        "friend@example.com",
    )
    assert send(shop, "/referrals", **fields).status == 422
    assert send(shop, "/referrals", **fields | {"email": advocate["email"]}).status == 422
    assert send(shop, "/referrals", **fields | {"email": "b@example.com", "remote_ip": ""}).status == 422
    assert send(shop, "/referrals", **fields | {"email": "b@example.com", "referral_code": "x"}).status == 404
    blocked = send(shop, "/referrals", **fields | {"email": "b@example.com"}).json["data"]["attributes"]
    assert blocked["status"] == "blocked", "the same address again"


def test_day_of_birth_is_changed_and_other_fields_are_ignored(shop: Server) -> None:
    customer = customers(shop)[0]
    path = f"/customers/{customer['id']}"
    answer = send(shop, path, "PUT", dob="02-29", first_name="Other")
    assert answer.status == 200
    now = call(shop, path).json["data"]["attributes"]
    assert (now["dob"], now["first_name"]) == ("02-29", customer["first_name"])
    assert send(shop, path, "PUT", dob="29.02.").status == 422


def test_tier_is_set_unless_rivo_recalculates_it(shop: Server) -> None:
    tiers = walk(shop, "vip_tiers")
    customer = next(each for each in customers(shop) if each["vip_tier"])
    other = next(tier for tier in tiers if tier["id"] != customer["vip_tier"]["id"])
    path = f"/customers/{customer['id']}"

    shop.faults = "tier_recalculated"
    assert send(shop, f"{path}/vip_tier", vip_tier_id=other["id"]).status == 201
    assert call(shop, path).json["data"]["attributes"]["vip_tier"] == customer["vip_tier"]
    shop.faults = ()
    assert send(shop, f"{path}/vip_tier", vip_tier_id=other["id"]).status == 201
    assert call(shop, path).json["data"]["attributes"]["vip_tier"]["id"] == other["id"]
    assert send(shop, f"{path}/vip_tier", vip_tier_id=1).status == 404


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "lands"),
    [
        ("http_500", False),
        ("rate_limited", False),
        ("landed_500", True),
        ("landed_504", True),
        ("dropped", True),
    ],
)
def test_call_that_fails_may_have_changed_the_shop(fault: str, lands: bool, shop: Server) -> None:
    customer = customers(shop)[0]
    points = tally(shop, customer)[0]
    fields = {"customer_identifier": customer["id"], "source": "manual", "points_amount": 5}
    shop.faults = fault
    try:
        assert send(shop, "/points_events", **fields).status >= 429
    except (http.client.HTTPException, ConnectionError):
        assert fault == "dropped"
    shop.faults = ()
    assert tally(shop, customer)[0] == points + (5 if lands else 0)


def test_unknown_calls_are_refused(shop: Server) -> None:
    assert send(shop, "/points_events/5", "DELETE").status == 405
    assert send(shop, "/customers").status == 405
    assert send(shop, "/orders").status == 404
    assert call(shop, "/points_events", "POST", key="wrong").status == 401
