"""`rivo doctor`: its findings for working, unusual and wrong accounts, and the number of its requests."""

from __future__ import annotations

import re
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pipelines import time_zones
from pipelines.errors import ApiError, SettingsError
from pipelines.rivo.doctor import Finding, examine, in_words
from sandbox import Server
from tests.harness.network import CERTIFICATES, VARIABLES, Authority
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


# -- clocks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (0.6, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (3_600, "60 minutes"),
        (7_200, "2 hours"),
        (86_400, "24 hours"),
        (4_447_649, "51 days"),
        (400 * 86_400 * 10, "4,000 days"),
    ],
)
def test_duration_is_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    ("ahead", "words", "is_warning"),
    [
        (timedelta(seconds=40), r"(39|40|41) seconds$", False),
        (timedelta(minutes=4, seconds=30), "4 minutes$|5 minutes$", False),
        (
            timedelta(minutes=6),
            r"6 minutes: here it is [\d: -]+ UTC, there [\d: -]+ UTC\. The API's clock dates all data",
            True,
        ),
        (timedelta(days=-51), "51 days: here it is", True),
    ],
)
def test_doctor_warns_of_clocks_that_differ(
    server: Server, ahead: timedelta, words: str, is_warning: bool
) -> None:
    server.date_offset = datetime.now(UTC) - server.now + ahead
    [clocks] = [each for each in examine(make_settings(server)) if "clock and the API's" in each.text]
    assert re.search(f"differ by ({words})", clocks.text), clocks.text
    assert (clocks.good, clocks.is_warning) == (True, is_warning)
    assert clocks.label == ("WARNING" if is_warning else "ok")


def test_doctor_warns_of_time_zone_data_that_differ(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def finding(name: str) -> Finding:
        return next(f for f in examine(make_settings(server, timezone=name)) if "RIVO_TIMEZONE" in f.text)

    same = finding("Europe/Berlin")
    assert (same.label, same.text) == (
        "ok",
        "RIVO_TIMEZONE Europe/Berlin: Python and DuckDB know the same rules",
    )
    # As where Python's data are older than Berlin's summer time: they give it the hours of Algiers.
    monkeypatch.setattr(time_zones, "ZoneInfo", lambda _name: ZoneInfo("Africa/Algiers"))
    warning = finding("Europe/Berlin")
    assert warning.label == "WARNING"
    assert re.search(
        r"differ from 20\d\d-03-\d\d 01:00 UTC on, when it is 02:00 for Python and 03:00", warning.text
    )


# -- the network -----------------------------------------------------------------------------------


@pytest.fixture
def _plain_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *map(str.upper, VARIABLES), *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_plain_network")
def test_doctor_names_the_proxy_and_the_certificates(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://corp:s3cret-pw@proxy.corp:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(Authority(tmp_path).file))
    monkeypatch.setenv("no_proxy", "rivo.example")
    settings = make_settings(server, alert_url="https://hooks.example/secret-path")

    first, second, *_ = texts(list(examine(settings)))

    assert first == "requests to Rivo's API are sent directly, without a proxy"
    assert second == (
        "Alerts (RIVO_ALERT_URL) are sent through the proxy http://proxy.corp:3128 (https_proxy, with a user name); "
        f"trusted certificates: {tmp_path}/company ca.pem (REQUESTS_CA_BUNDLE)"
    )
    monkeypatch.setenv("https_proxy", "socks5://corp:s3cret-pw@proxy.corp:1080")
    (problem,) = texts(list(examine(settings)), good=False)
    assert problem.startswith("Alerts (RIVO_ALERT_URL) cannot be sent: https_proxy names a SOCKS proxy")
    with pytest.raises(SettingsError, match="https_proxy names a SOCKS proxy"):
        list(examine(make_settings(server, api_url="https://api.example/merchant_api/v1")))
