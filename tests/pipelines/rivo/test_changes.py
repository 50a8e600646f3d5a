"""Requests that change something: sent once, and what is known of their outcome."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from pipelines.errors import ApiError
from pipelines.rivo.changes import send_change
from tests.harness.network import Authority
from tests.harness.stub import Reply, answering
from tests.pipelines.rivo.test_client import KEY, connect


@pytest.mark.parametrize(
    ("reply", "outcome", "message"),
    [
        (Reply({"data": {"id": 5}}, 201), "done", ""),
        (Reply(b"", 201), "done", ""),
        (Reply({"errors": ["No such reward."]}, 422), "refused", "No such reward."),
        (Reply({}, 404), "refused", "the server returned status 404; the address may be wrong"),
        (
            Reply({"error": f"not with {KEY} of ann@example.com"}, 400),
            "refused",
            "not with [key] of [address]",
        ),
        (Reply({}, 500), "unknown", "the server returned status 500"),
        (
            Reply(b"<html>gateway</html>", 504, "text/html"),
            "unknown",
            "the server returned status 504 with a web page",
        ),
        (
            Reply(b"<html>captcha</html>", 200, "text/html"),
            "unknown",
            "the server returned status 200 with a web page",
        ),
        (Reply({}, 302, headers={"Location": "/x"}), "unknown", "the server returned status 302"),
        (Reply({}, 408), "unknown", "the server returned status 408"),
    ],
)
def test_outcome_of_an_answer(reply: Reply, outcome: str, message: str) -> None:
    with answering(lambda _asked, _number: reply) as stub:
        answer = send_change(connect(stub.url), "POST", "/points_events", {"points_amount": 1}, "Add points")
    assert (answer.outcome, answer.message, len(stub.asked)) == (outcome, message, 1)


@pytest.mark.parametrize(
    ("status", "words"), [(401, "Rivo refused the key"), (403, "is not allowed for this key")]
)
def test_refused_key_is_an_error_and_nothing_was_sent(status: int, words: str) -> None:
    with (
        answering(lambda _asked, _number: Reply({}, status)) as stub,
        pytest.raises(ApiError, match=rf"{words}.*Nothing was sent"),
    ):
        send_change(connect(stub.url), "POST", "/points_events", {}, "Add points")


def test_rate_limit_is_waited_for() -> None:
    def answer(_asked: object, number: int) -> Reply:
        return Reply({"data": {"id": 1}}, 201) if number else Reply({}, 429, headers={"Retry-After": "0"})

    with answering(answer) as stub:
        assert send_change(connect(stub.url), "POST", "/points_events", {}, "Add points").outcome == "done"
    assert len(stub.asked) == 2


def test_server_that_cannot_be_reached_got_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.rivo.changes._RETRY_SECONDS", 0.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ApiError, match=r"Rivo cannot be reached .* Nothing was sent"):
            send_change(connect(url), "POST", "/points_events", {}, "Add points")


def test_broken_tls_is_no_proof_that_nothing_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that reads the whole request and then breaks the encryption: its outcome is unknown."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    received: list[bytes] = []

    def serve(listening: socket.socket, context: ssl.SSLContext) -> None:
        with listening.accept()[0] as plain:
            encrypted = context.wrap_socket(plain.dup(), server_side=True)
            received.append(encrypted.recv(65_536))
            plain.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            encrypted.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening, authority.server("localhost")))
        thread.start()
        url = f"https://localhost:{listening.getsockname()[1]}"
        answer = send_change(connect(url), "POST", "/points_events", {"points_amount": 1}, "Add points")
        thread.join()
    assert answer.outcome == "unknown"
    assert len(received) == 1


def test_403_after_a_success_is_about_the_request_alone() -> None:
    with answering(lambda _asked, _number: Reply({"error": "Customer is excluded"}, 403)) as stub:
        answer = send_change(connect(stub.url), "POST", "/points_events", {}, "Add points", is_permitted=True)
    assert (answer.outcome, answer.message) == ("refused", "Customer is excluded")
