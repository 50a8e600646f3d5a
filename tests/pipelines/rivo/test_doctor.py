"""`rivo doctor`: its findings for working, unusual and wrong accounts, and the number of its requests."""

from __future__ import annotations

import re
from bisect import bisect_right

import pytest

from pipelines.errors import ApiError, SettingsError
from pipelines.rivo.doctor import Finding, examine
from sandbox import Server
from tests.harness.settings import make_settings
from tests.harness.stub import Asked, Reply, answering, page


def texts(findings: list[Finding], good: bool = True) -> list[str]:
    return [finding.text for finding in findings if finding.good is good]


def test_doctor_reports_the_size_of_each_list(server: Server) -> None:
    findings = list(examine(make_settings(server)))
    assert texts(findings, good=False) == []
    lists = server.program.snapshot(server.now)
    customers, events = len(lists["customers"]), len(lists["points_events"])
    said = texts(findings)
    assert f"Customers: reachable, cursor honoured, {customers:,} rows, 1 page" in said
    assert f"Points Events: reachable, cursor honoured, {events:,} rows, {-(-events // 250)} pages" in said
    pages = sum(max(1, -(-len(rows) // 250)) for rows in lists.values())
    assert any(
        re.search(rf"ms per request; a first load of {pages} pages takes about \d+ seconds$", s) for s in said
    )
    assert any("clock and the API's differ by" in s for s in said)
    assert len(server.requests) < 100


def test_doctor_fails_without_a_valid_key(server: Server) -> None:
    with pytest.raises(SettingsError, match="RIVO_API_KEY is not set"):
        list(examine(make_settings(api_url=server.url)))
    with pytest.raises(ApiError, match=r"refused the key \(401\)"):
        list(examine(make_settings(server, api_key="wrong")))


def test_doctor_reports_a_forbidden_list_and_checks_the_others(server: Server) -> None:
    server.faults = ["http_403:referrals"]
    findings = list(examine(make_settings(server)))
    (problem,) = texts(findings, good=False)
    assert problem.startswith("Referrals could not be read: the list is not allowed for this key (403)")
    assert sum("cursor honoured" in said for said in texts(findings)) == 6


def test_doctor_reports_an_ignored_cursor(server: Server) -> None:
    server.faults = ["cursor_ignored"]
    findings = list(examine(make_settings(server)))
    assert texts(findings, good=False) == []
    assert any(
        said.startswith("Customers: the server ignores since_id; it will be read by page")
        for said in texts(findings)
    )


@pytest.mark.parametrize("pages_are_ignored", [False, True])
def test_doctor_estimates_the_size_of_a_long_list(pages_are_ignored: bool) -> None:
    # Old rows have distant ids, new rows have close ones, and there is a gap.
    count = 400_000
    ids = [7_000_000_000_000 + n * 33_000 - n * n // 28 + (10**8 if n > 90_000 else 0) for n in range(count)]

    def answer(asked: Asked, number: int) -> Reply:
        if not asked.path.endswith("/customers"):
            return page([], next_since_id=None)
        if "pagination[page]" in asked.params:
            start = 0 if pages_are_ignored else (int(asked.params["pagination[page]"]) - 1) * 250
            return page(ids[start : start + 250], next="more")
        start = bisect_right(ids, int(asked.params["pagination[since_id]"]))
        return page(ids[start : start + int(asked.params["pagination[limit]"])], next_since_id=1)

    with answering(answer) as stub:
        findings = list(examine(make_settings(api_key="sandbox-key", api_url=stub.url)))
        assert len(stub.asked) < 150
    said = next(s for s in texts(findings) if s.startswith("Customers:"))
    match = re.search(r"about ([\d,]+) rows", said)
    assert match, said
    assert abs(int(match[1].replace(",", "")) - count) < 0.1 * count
