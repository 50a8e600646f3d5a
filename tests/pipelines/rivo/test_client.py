"""HTTP client: error messages, retries of transient failures, secrecy of the key, and the clock of the API."""

from __future__ import annotations

import socket
import time
import traceback
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipelines.errors import ApiError, ListError, RivoError
from pipelines.rivo import client as client_module
from pipelines.rivo.client import Client
from pipelines.rivo.responses import retry_after
from sandbox import Server
from tests.harness.network import relay
from tests.harness.settings import make_settings
from tests.harness.stub import DATE, Asked, Reply, answering, page

KEY = "rv-k3y-0123456789-abcdefghij"
NOW = datetime(2026, 10, 5, 6, tzinfo=UTC)


def connect(url: str, key: str = KEY, **settings: Any) -> Client:
    return Client.of_settings(make_settings(api_key=key, api_url=url, **settings))


def get(client: Client) -> list[Any]:
    rows: list[Any] = client.get("/rewards", {"pagination[since_id]": 0}, "Rewards")["data"]
    return rows


def error_of(client: Client) -> RivoError:
    with pytest.raises(RivoError) as caught:
        get(client)
    said = str(caught.value)
    assert client._key not in said
    assert "\n" not in said
    assert "object at 0x" not in said
    assert client._key not in "".join(traceback.format_exception(caught.value))
    return caught.value


def test_api_key_is_sent_raw_in_the_header_only() -> None:
    with answering(lambda asked, n: page([1])) as stub:
        get(connect(stub.url))
    (asked,) = stub.asked
    assert asked.headers["Authorization"] == KEY
    assert KEY not in asked.path + str(asked.params)
    assert asked.path == "/merchant_api/v1/rewards"


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (
            400,
            ListError,
            "Rewards could not be read: the server rejected the request as malformed (400). The server says: no",
        ),
        (403, ListError, "Rewards could not be read: the list is not allowed for this key (403)"),
        (
            404,
            ListError,
            "Rewards could not be read: the list does not exist at this address (404). Check RIVO_API",
        ),
        (418, ListError, "Rewards could not be read: the server returned status 418"),
        (422, ListError, "Rewards could not be read: the server could not process the request (422)"),
        (401, ApiError, "Rivo refused the key (401). RIVO_API_KEY must be the raw key"),
    ],
)
def test_refused_request_is_reported_without_a_retry(
    status: int, kind: type[RivoError], message: str
) -> None:
    with answering(lambda asked, n: Reply({"error": "no"}, status)) as stub:
        error = error_of(connect(stub.url))
        assert len(stub.asked) == 1
    assert isinstance(error, kind)
    assert str(error).startswith(message)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "E"}, "E"),
        ({"message": "M"}, "M"),
        ({"errors": ["first", "second"]}, "first"),
        ({"errors": [{"detail": "D"}]}, "{'detail': 'D'}"),
        ({"errors": {"a": 1}}, None),
        ({"error": None}, None),
        ([], None),
        (b"{broken", None),
        (b"", None),
    ],
)
def test_error_message_quotes_the_server(body: Any, said: str | None) -> None:
    with answering(lambda asked, n: Reply(body, 400)) as stub:
        text = str(error_of(connect(stub.url)))
    assert (f"The server says: {said}" in text) if said else ("The server says" not in text)


@pytest.mark.parametrize(
    ("pii", "said"), [("keep", "The server says: no [address] here"), ("hash", ""), ("drop", "")]
)
def test_error_message_hides_personal_data_in_the_servers_text(pii: str, said: str) -> None:
    with answering(lambda asked, n: Reply({"error": "no ada@example.com here"}, 422)) as stub:
        text = str(error_of(connect(stub.url, pii=pii, pii_key="k" * 32)))
    assert said in text
    assert "ada" not in text
    assert ("The server says" in text) == bool(said)


@pytest.mark.parametrize("before", [0, 150, 180, 190, 199, 500])
def test_error_message_hides_a_key_repeated_by_the_server(before: int) -> None:
    for status in (400, 401):
        with answering(lambda asked, n, s=status: Reply({"error": "x" * before + KEY}, s)) as stub:  # type: ignore[misc]
            assert KEY[:6] not in str(error_of(connect(stub.url)))


def test_wrong_key_raises_api_error(server: Server) -> None:
    error = error_of(connect(server.url))
    assert isinstance(error, ApiError)
    assert "(401)" in str(error)


@pytest.mark.parametrize(
    "fault",
    [
        "rate_limited_date",
        "rate_limited_bare",
        "http_500",
        "http_502",
        "http_503",
        "http_504",
        "html",
        "truncated",
        "dropped",
        "hang@0.1",
        "slow@100",
    ],
)
def test_transient_failure_is_retried(server: Server, fault: str) -> None:
    name, _, value = fault.partition("@")
    server.faults = [{"name": name, "times": 1, "value": float(value) if value else None}]
    client = connect(server.url, server.key)
    assert len(get(client)) == len(server.program.snapshot(server.now)["rewards"])
    # A dropped connection is replaced by a new one.
    assert client.requests == len(server.requests) == (1 if name == "slow" else 2)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("http_500", "the server returned status 500"),
        ("http_503", "the server returned status 503 with a web page"),
        ("truncated", "the connection failed"),
        ("dropped", "the connection failed"),
        ("rate_limited", "the server returned status 429"),
    ],
)
def test_lasting_failure_ends_after_patience_seconds(server: Server, fault: str, message: str) -> None:
    server.faults = [fault]
    started = time.monotonic()
    error = error_of(connect(server.url, server.key, patience_seconds=0.4))
    assert time.monotonic() - started < 20
    assert type(error) is ListError
    assert str(error).startswith(f"Rewards could not be read: {message}")
    assert "(RIVO_PATIENCE_SECONDS)" in str(error)


@pytest.mark.parametrize("status", [520, 522, 524, 599])
def test_status_of_a_proxy_is_retried(status: int) -> None:
    with answering(lambda asked, n: page([1]) if n else Reply(b"", status, "text/html")) as stub:
        assert len(get(connect(stub.url))) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply([]),
        Reply({}),
        Reply({"data": None}),
        Reply({"data": {"id": 1}}),
        Reply(b"{"),
        Reply(b""),
        Reply(b"<html></html>", kind="TEXT/HTML"),
        Reply(b'{"data": [{"id": NaN}]}'),
        Reply(b"", 204),
    ],
)
def test_response_that_is_not_a_page_is_retried(reply: Reply) -> None:
    with answering(lambda asked, n: page([1]) if n else reply) as stub:
        assert len(get(connect(stub.url))) == 1


def test_server_without_tls_is_not_reported_as_a_bad_certificate() -> None:
    with answering(lambda asked, n: page([1])) as stub:
        error = error_of(connect(stub.url.replace("http://", "https://")))
    assert isinstance(error, ApiError)
    assert "(no TLS connection: wrong version number). Check RIVO_API_URL" in str(error)


def test_unreachable_server_is_reported_soon() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/merchant_api/v1"
    started = time.monotonic()
    error = error_of(connect(url, patience_seconds=300))
    assert time.monotonic() - started < 60
    assert isinstance(error, ApiError)
    assert str(error).startswith(f"Cannot connect to {url} (")
    error = error_of(connect("http://no-such-host.invalid/merchant_api/v1"))
    assert str(error).startswith("Cannot connect to http://no-such-host.invalid")


def test_slow_response_times_out(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_TIMEOUT", client_module.urllib3.Timeout(connect=1, read=0.2))
    server.faults = ["slow@2000"]
    error = error_of(connect(server.url, server.key, patience_seconds=0.3))
    assert type(error) is ListError
    assert "the connection failed" in str(error)


def test_local_server_is_reached_without_the_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert get(connect(server.url, server.key))


@pytest.mark.parametrize("window", ["sliding", "fixed"])
def test_server_behind_a_slow_network_counts_at_most_the_rate(window: str) -> None:
    arrived: list[float] = []
    random = Random(5)

    def answer(asked: Asked, n: int) -> Reply:
        arrived.append(time.monotonic())
        return page([1])

    def delay() -> float:
        return random.choice([0.0, 0.0, 0.02, 0.05, 0.12])

    with answering(answer) as stub, relay(urlsplit(stub.url).port or 0, delay=delay) as port:
        client = connect(f"http://127.0.0.1:{port}/merchant_api/v1", rate_limit=15)
        with ThreadPoolExecutor(8) as pool:
            for future in [pool.submit(get, client) for _ in range(70)]:
                future.result()
    arrived.sort()
    assert len(arrived) == 70
    starts = arrived if window == "sliding" else [arrived[0] + n / 7 for n in range(40)]
    assert max(bisect_left(arrived, start + 1) - bisect_left(arrived, start) for start in starts) <= 15


def test_429_delays_all_threads() -> None:
    arrived: list[float] = []

    def answer(asked: Asked, n: int) -> Reply:
        arrived.append(time.monotonic())
        return page([1]) if n else Reply(None, 429, headers={"Retry-After": "2"})

    with answering(answer) as stub, ThreadPoolExecutor(4) as pool:
        client = connect(stub.url)
        first = pool.submit(get, client)
        while not arrived:
            time.sleep(0.01)
        # Give the first thread time to read the response that must delay the others.
        time.sleep(1)
        others = [pool.submit(get, client) for _ in range(3)]
        for future in (first, *others):
            assert len(future.result()) == 1
    assert min(arrived[1:]) - arrived[0] > 1.9


# -- clocks ----------------------------------------------------------------------------------------


def test_observed_at_is_the_date_of_the_first_response(server: Server) -> None:
    client = connect(server.url, server.key)
    assert client.observed_at is None
    server.faults = [{"name": "http_500", "times": 1}]
    get(client)
    server.now += timedelta(hours=1)
    get(client)
    assert client.observed_at == NOW


def test_observed_at_is_not_the_date_of_a_web_page() -> None:
    wrong = Reply(b"<html>Log in</html>", 503, "text/html", date="Mon, 05 Oct 2037 06:00:00 GMT")
    with answering(lambda asked, n: page([1]) if n else wrong) as stub:
        client = connect(stub.url)
        get(client)
    assert client.observed_at == NOW


@pytest.mark.parametrize("date", [None, "", "yesterday", "99999"])
def test_observed_at_is_local_time_without_a_valid_date(date: str | None) -> None:
    with answering(lambda asked, n: Reply({"data": []}, date=date)) as stub:
        client = connect(stub.url)
        get(client)
    assert client.observed_at is not None
    assert abs(datetime.now(UTC) - client.observed_at) < timedelta(seconds=60)
    assert client.observed_at.microsecond == 0


def test_retry_after_date_is_relative_to_the_date_of_the_response() -> None:
    # Both dates are in the past, so by the local clock there would be nothing to wait for.
    date = DATE.replace("2026", "2020")

    def answer(asked: Asked, n: int) -> Reply:
        return page([1]) if n else Reply(None, 429, headers={"Retry-After": later}, date=date)

    later = date.replace("06:00:00", "06:00:02")
    with answering(answer) as stub:
        started = time.monotonic()
        get(connect(stub.url))
    assert 1.9 < time.monotonic() - started < 20, "not the default of one second"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 1),
        ("", 1),
        ("5", 5),
        ("2.5", 2.5),
        ("0", 0.1),
        ("-5", 0.1),
        ("100000", 120),
        ("inf", 120),
        ("nan", 0.1),
        ("soon", 1),
        ("Mon, 05 Oct 2026 06:00:30 GMT", 30),
        ("Mon, 05 Oct 2026 05:00:00 GMT", 0.1),
        ("Mon, 05 Oct 2026 09:00:00 GMT", 120),
    ],
)
def test_retry_after_is_parsed_and_limited(value: str | None, seconds: float) -> None:
    assert retry_after(value, NOW) == seconds
