"""The report of `rivo doctor --report`: shapes of what the API answers, and no value, key or password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import RivoError
from pipelines.rivo.doctor import examine
from pipelines.rivo.report import Report
from pipelines.rivo.shapes import Shape
from pipelines.settings import Settings
from sandbox import Server
from tests.harness.settings import make_settings
from tests.harness.stub import Asked, Reply, answering

SECRET = "secret-0123456789-abcdef"


def report_of(settings: Settings) -> str:
    report = Report(settings)
    try:
        for finding in examine(settings, report.listen):
            report.add(finding)
    except RivoError as error:
        report.fail(error)
    return report.text()


def values(data: Any) -> Iterator[str]:
    """Yield each text of a JSON document, and each number that is long enough to mean something."""
    if isinstance(data, dict):
        for each in data.values():
            yield from values(each)
    elif isinstance(data, list):
        for each in data:
            yield from values(each)
    elif isinstance(data, str) and data:
        yield data
    elif isinstance(data, float) or (isinstance(data, int) and abs(data) >= 10_000):
        yield str(data)


def found_in(text: str, value: str) -> bool:
    return value in text and re.search(rf"(?<![\w.-]){re.escape(value)}(?![\w.-])", text) is not None


def test_report_holds_no_value_of_a_row_and_no_secret(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://corp:s3cret-pw@proxy.corp:3128")
    settings = make_settings(
        server,
        rate_limit=9_876,
        patience_seconds=4.321,
        alert_url=f"https://hooks.example/{SECRET}",
        pii_key=f"pii-{SECRET}",
        dagster_postgres_url=f"postgresql://u:{SECRET}@h/d",
        owners="ada@shop.example",
        warehouse="/home/ada/rivo.duckdb",
    )
    text = report_of(settings)
    lists = server.program.snapshot(server.now)
    for name, rows in lists.items():
        for row in rows:
            for value in values(row["attributes"]):
                # Types of lists and names of attributes are words that also occur as values.
                if value not in ("vip_tier", "points", "credits", "customer", "email", "text"):
                    assert not found_in(text, value), f"{value!r} of {name}"
    for secret in (server.key, SECRET, "s3cret", "proxy.corp", "ada"):
        assert secret not in text
    assert len(lists["customers"]) > 50


def test_report_names_versions_settings_shapes_and_timings(server: Server) -> None:
    text = report_of(make_settings(server, pii="hash", pii_key=SECRET))
    for expected in (
        r"Python +3\.",
        r"dlt +1\.",
        r"duckdb +1\.",
        r"system +\w+",
        r"RIVO_API_KEY +set\n",
        r"RIVO_PII_KEY +set\n",
        r"RIVO_PII +hash\n",
        r"RIVO_ALERT_URL +not set\n",
        r"RIVO_RATE_LIMIT +10000",
        r"connection +direct",
        r"ok +Customers: reachable, cursor honoured",
        r"WARNING +this machine's clock",
        r"\nCustomers\n  requests: \d+, statuses: 200 x \d+\n  [\d,]+ to [\d,]+ ms",
        r"Content-Type: application/json; charset=utf-8",
        r"Date: Mon, 05 Oct 2026",
        r"next_since_id +(null|integer)",
        r"their type: points_event\n",
        r"    dob +(null \d+ %; text \(month and day\) \d+ %|text)",
        r"    vip_tier +object \d+ %.*\n +id +integer",
        r"    points_diff +integer",
    ):
        assert re.search(expected, text), expected


def test_report_of_refused_and_odd_answers_holds_no_text_of_the_server() -> None:
    def answer(asked: Asked, n: int) -> Reply:
        headers = {
            "Server": "nginx",
            "X-Request-Id": "id-778899",
            "X-RateLimit-Limit": "15",
            "Set-Cookie": "s=Ada",
        }
        if asked.path.endswith("referrals"):
            return Reply({"error": "no such customer Ada Lovelace"}, 422, headers=headers)
        odd = {"id": 1, "Ada Lovelace": 1, "details": {"ada": "x", "name": {"Lovelace": 2}}, "list": ["Ada"]}
        rows = [{"id": 1, "type": "Ada Lovelace", "attributes": odd}, {"id": 2, "attributes": None}, 7]
        return Reply({"links": {"next_since_id": None}, "data": rows}, headers=headers)

    with answering(answer) as stub:
        text = report_of(make_settings(api_key=SECRET, api_url=stub.url))
    assert not re.search("ada|lovelace|778899", text, re.IGNORECASE)
    assert "Server: nginx" in text
    assert re.search("X-Rate-?limit-Limit: 15", text, re.IGNORECASE)
    assert (
        "Referrals could not be read: the server could not process the request (422). (The server's text is"
        in text
    )
    assert "statuses: 422 x 1" in text
    assert re.search(r"\(other names\) +integer", text)


@pytest.mark.parametrize("key", ["wrong-key-123456", None])
def test_report_is_made_where_nothing_can_be_read(server: Server, key: str | None) -> None:
    text = report_of(make_settings(server, api_key=key))
    assert re.search(r"ended +(Rivo refused the key \(401\)|RIVO_API_KEY is not set)", text)
    assert "wrong-key" not in text
    assert "Versions" in text


def test_report_shortens_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", f"{tmp_path}/ca.pem")
    text = report_of(make_settings(api_key=SECRET, api_url="https://api.example/merchant_api/v1"))
    assert "SSL_CERT_FILE names the certificate file ~/ca.pem, which does not exist" in text
    assert str(tmp_path) not in text


def test_shape_describes_types_lengths_and_shares() -> None:
    shape = Shape()
    for value in (
        None,
        True,
        5,
        12_345,
        -3,
        1.5,
        "",
        "abc",
        "2026-01-02T03:04:05Z",
        [],
        [1, "x"],
        {"id": 1},
        None,
    ):
        shape.add(value)
    [line, *parts] = shape.lines("a", 26)
    for expected in (
        "null 8 %",
        "boolean 4 %",
        "integer 8 % (1 to 5 digits)",
        "negative integer 4 % (1 digits)",
        "number 4 %",
        "text 8 % (0 to 3 characters)",
        "text (time, Z) 4 % (20 characters)",
        "array 8 % (0 to 2 elements)",
        "object 4 % (1 attributes)",
        "absent 50 %",
    ):
        assert expected in line
    assert [" ".join(part.split()) for part in parts] == [
        "[] integer 50 % (1 digits); text 50 % (1 characters)",
        "id integer 100 % (1 digits)",
    ]


@pytest.mark.parametrize(
    ("nulls", "share"), [(0, None), (1, "null <1 %"), (500, "null 50 %"), (999, "null >99 %")]
)
def test_share_is_never_rounded_to_none_or_all(nulls: int, share: str | None) -> None:
    shape = Shape()
    for number in range(1_000):
        shape.add(None if number < nulls else True)
    [line] = shape.lines("a", 1_000)
    assert (share in line) if share else ("null" not in line)


def test_report_describes_damaged_and_deeply_nested_rows() -> None:
    deep = b'{"a":' * 600 + b"1" + b"}" * 600
    rows = (
        b'{"id":1,"type":"reward","attributes":{"id":1,"name":"F3 \\ud83d"}},'
        b'{"id":2,"type":"reward","attributes":{"id":2,"terms_of_service":%s}},'
        b'{"id":3,"type":"reward","attributes":{,}}' % deep
    )
    answer = b'{"links":{"next_since_id":null},"data":[%s]}' % rows
    with answering(lambda asked, n: Reply(answer)) as stub:
        text = report_of(make_settings(api_key=SECRET, api_url=stub.url))
    assert "values that were not valid JSON and were repaired" in text
    assert "F3" not in text
    assert "_repairs" not in text
