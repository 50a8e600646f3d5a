"""Calls that a sandbox keeps in a file, so that it has them when it is started again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sandbox import Program, ProgramOptions, serve
from tests.sandbox.client import send, walk

OPTIONS = ProgramOptions(customers=20, months=2)


def test_calls_are_there_after_a_restart_from_their_time_on(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    with serve(Program(OPTIONS), rate_limit=0, journal=journal) as shop:
        customers = [row["attributes"] for row in walk(shop, "customers")]
        member = next(row["id"] for row in customers if row["loyalty_status"] == "member")
        fields = {"customer_identifier": member, "source": "manual", "points_amount": 5}
        assert send(shop, "/points_events", **fields).status == 201
        assert send(shop, "/points_events", **fields | {"points_amount": "x"}).status == 422
        shop.now += timedelta(days=1)
        assert send(shop, "/points_events", **fields | {"points_amount": 7}).status == 201
        before = walk(shop, "points_events")
        later = shop.now

    with serve(Program(OPTIONS), rate_limit=0, journal=journal) as shop:
        assert [row["attributes"]["points_diff"] for row in walk(shop, "points_events")[-1:]] == [5]
        shop.now = later
        assert walk(shop, "points_events") == before
        assert [row["attributes"]["points_diff"] for row in before[-2:]] == [5, 7]


def test_many_calls_take_no_id_of_a_later_row(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    with serve(Program(OPTIONS), rate_limit=0, journal=journal) as shop:
        customers = [row["attributes"] for row in walk(shop, "customers")]
        member = next(row["id"] for row in customers if row["loyalty_status"] == "member")
        fields = {"customer_identifier": member, "source": "manual", "points_amount": 5}
        made = [send(shop, "/points_events", **fields).json["data"]["id"] for _ in range(60)]
        shop.now += timedelta(days=20)
        before = walk(shop, "points_events")
    ids = [row["id"] for row in before]
    assert len(set(ids)) == len(ids)
    assert max(ids) > max(made), "rows were simulated after the calls"
    with serve(Program(OPTIONS), OPTIONS.end + timedelta(days=20), rate_limit=0, journal=journal) as shop:
        assert walk(shop, "points_events") == before
