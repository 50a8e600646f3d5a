"""Every fault changes answers as described."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from http.client import BadStatusLine, IncompleteRead, RemoteDisconnected
from typing import Any

import pytest

from sandbox import KINDS, Fault, Server

from .client import call, cursor
from .conftest import Lists


@pytest.mark.parametrize("status", [401, 403, 404, 500, 502, 503, 504])
def test_http_faults_answer_with_their_status(server: Server, status: int) -> None:
    server.faults = (Fault(f"http_{status}", list="rewards"),)
    answer = call(server, "/rewards")
    assert answer.status == status
    assert ("html" in answer.headers["Content-Type"]) == (status > 500)
    assert call(server, "/vip_tiers").status == 200
    assert server.requests[-2].faults == (f"http_{status}",)


def test_rate_limit_faults_have_each_form_of_retry_after(server: Server) -> None:
    server.faults = (Fault("rate_limited", value=3),)
    answer = call(server, "/rewards")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
    assert answer.json["errors"]
    server.faults = (Fault("rate_limited_date", value=3),)
    answer = call(server, "/rewards")
    wait = parsedate_to_datetime(answer.headers["Retry-After"]) - parsedate_to_datetime(
        answer.headers["Date"]
    )
    assert wait.total_seconds() == 3
    server.faults = (Fault("rate_limited_bare"),)
    answer = call(server, "/rewards")
    assert answer.status == 429
    assert "Retry-After" not in answer.headers


def test_html_fault_answers_html_with_status_200(server: Server) -> None:
    server.faults = (Fault("html"),)
    answer = call(server, "/rewards")
    assert answer.status == 200
    assert answer.body.startswith(b"<!DOCTYPE html>")


def test_wire_faults_break_or_delay_the_connection(server: Server) -> None:
    server.faults = (Fault("truncated"),)
    with pytest.raises(IncompleteRead):
        call(server, "/rewards")
    server.faults = (Fault("dropped"),)
    with pytest.raises((RemoteDisconnected, BadStatusLine)):
        call(server, "/rewards")
    server.faults = (Fault("hang", value=0.2),)
    began = time.monotonic()
    with pytest.raises((RemoteDisconnected, BadStatusLine)):
        call(server, "/rewards")
    assert time.monotonic() - began >= 0.2
    server.faults = (Fault("slow", value=200),)
    began = time.monotonic()
    assert call(server, "/rewards").status == 200
    assert time.monotonic() - began >= 0.2


def test_latency_delays_every_answer(server: Server) -> None:
    server.latency_ms = 100
    began = time.monotonic()
    assert call(server, "/rewards").status == 200
    assert time.monotonic() - began >= 0.1


def test_paging_faults_change_rows_and_links(server: Server, lists: Lists) -> None:
    ids = [row["id"] for row in lists["referrals"]]
    since = ids[49]
    right = ids[50:60]

    def ask(fault: str) -> tuple[list[int], dict[str, Any]]:
        server.faults = (Fault(fault, list="referrals"),)
        answer = cursor(server, "referrals", since, 10)
        return answer.ids, answer.json["links"]

    assert ask("cursor_ignored") == (ids[:10], {"since_id": since, "limit": 10, "next_since_id": ids[9]})
    assert ask("cursor_stuck") == (right, {"since_id": since, "limit": 10, "next_since_id": since})
    assert ask("next_missing") == (right, {"since_id": since, "limit": 10})
    assert ask("next_null") == (right, {"since_id": since, "limit": 10, "next_since_id": None})
    assert ask("empty_page") == ([], {"since_id": since, "limit": 10, "next_since_id": None})
    page, links = ask("old_links")
    assert page == right
    assert set(links) == {"self"}


def test_empty_page_fault_ends_after_its_times(server: Server) -> None:
    server.faults = (Fault("empty_page", list="customers", times=1),)
    assert cursor(server, "customers").ids == []
    assert len(cursor(server, "customers").ids) == 250
    server.faults = (Fault("empty_page", list="customers"),)
    offset = call(server, "/customers")
    assert offset.ids == []
    assert "next" not in offset.json["links"]


def test_row_faults_change_rows(server: Server, lists: Lists) -> None:
    def ask(fault: Fault) -> list[dict[str, Any]]:
        server.faults = (fault,)
        return cursor(server, fault.list or "points_events").json["data"]

    rows = ask(Fault("new_attribute", list="customers", value={"nested": 1}))
    assert all(row["attributes"]["new_attribute"] == {"nested": 1} for row in rows)
    rows = ask(Fault("type_change", list="customers", rate=0.2))
    changed = [row for row in rows if isinstance(row["attributes"]["points_tally"], str)]
    assert 0.1 < len(changed) / len(rows) < 0.3
    assert changed[0]["attributes"]["points_tally"].endswith(" pts")
    assert any(row["id"] is None for row in ask(Fault("null_id", rate=0.1)))
    assert any("id" not in row for row in ask(Fault("missing_id", rate=0.1)))
    assert any("points_diff" not in row["attributes"] for row in ask(Fault("missing_diff", rate=0.1)))
    rows = ask(Fault("bad_date", rate=0.1))
    bad = [row["id"] for row in rows if row["attributes"]["applied_at"] == "2026-02-30T00:00:00Z"]
    assert 5 < len(bad) < 60
    server.faults = ()
    assert cursor(server, "points_events").json["data"] == lists["points_events"][:250]


def test_fault_rates_are_deterministic(server: Server) -> None:
    runs = []
    for _ in range(2):
        server.faults = (Fault("http_503", rate=0.3),)
        runs.append([call(server, "/vip_tiers").status for _ in range(40)])
    assert runs[0] == runs[1]
    assert 4 < runs[0].count(503) < 22


def test_fault_happens_after_some_requests_and_at_most_its_times(server: Server) -> None:
    server.faults = {"name": "http_500", "times": 2, "after": 1}
    assert [call(server, "/vip_tiers").status for _ in range(5)] == [200, 500, 500, 200, 200]


def test_fault_is_parsed_from_text_and_mapping() -> None:
    assert Fault.parse("http_500") == Fault("http_500")
    assert Fault.parse("slow:customers=0.25@900") == Fault("slow", "customers", 0.25, 900.0)
    assert Fault.parse({"name": "html", "times": 3}) == Fault("html", times=3)
    for wrong in ("nonsense", "html:nowhere", "html=2", "ht ml"):
        with pytest.raises(ValueError, match=r"fault|list|rate"):
            Fault.parse(wrong)


def test_every_fault_has_a_description() -> None:
    assert all(kind.about for kind in KINDS.values())
    assert {kind.stage for kind in KINDS.values()} == {"answer", "wire", "landed", "tier", "paging", "rows"}
