"""Answers that are not from Rivo's API: web pages of firewalls and logins, redirects, errors in plain text."""

from __future__ import annotations

import pytest

from pipelines.errors import ApiError, ListError
from pipelines.rivo.client import Client
from tests.harness.stub import Asked, Reply, answering, page
from tests.pipelines.rivo.test_client import KEY, connect, error_of

CAPTCHA = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"


def get_all(client: Client, names: str = "rewards customers referrals") -> list[str]:
    """Read lists one after the other as a sync does; return the messages."""
    said = []
    for name in names.split():
        try:
            client.get(f"/{name}", {}, name.capitalize())
        except ListError as error:
            said.append(str(error))
        except ApiError as error:
            return [*said, str(error)]
    return said


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (403, "text/html; charset=UTF-8", CAPTCHA),
        (401, "text/html", b"<html>log in</html>"),
        (404, "application/xhtml+xml", b"<?xml version='1.0'?><!DOCTYPE html><html></html>"),
        (403, "text/html", "<p>Zugriff verweigert: Ihr Gerät</p>".encode("latin-1")),
        (451, "text/plain", b"\xef\xbb\xbf\r\n<!-- block --><HTML><BODY>blocked</BODY></HTML>"),
        (400, "", b"<html><title>400</title></html>"),
        (200, "text/html", CAPTCHA),
        (200, "application/json", CAPTCHA),
    ],
)
def test_web_page_is_reported_once_and_not_as_the_keys_fault(status: int, kind: str, body: bytes) -> None:
    reply = Reply(body, status, kind, {"Server": "cloudflare"})
    with answering(lambda asked, n: reply) as stub:
        said = get_all(connect(stub.url, patience_seconds=0.2))
    assert len(said) == 1
    assert said[0].startswith(
        f"A web page answered in place of Rivo's API (status {status}, server cloudflare). Something between this "
        "machine and Rivo refuses the request: a firewall, a proxy"
    )
    assert "went through no proxy" in said[0]
    assert "RIVO_API_KEY" not in said[0]
    assert "plan" not in said[0]


def test_web_page_for_one_list_leaves_the_others() -> None:
    def answer(asked: Asked, n: int) -> Reply:
        return Reply(CAPTCHA, 403, "text/html") if asked.path.endswith("customers") else page([1])

    with answering(answer) as stub:
        said = get_all(connect(stub.url))
    (problem,) = said
    assert problem.startswith(
        "Customers could not be read: a web page answered in place of Rivo's API (status 403)"
    )
    assert problem.endswith("The other lists are unaffected.")


@pytest.mark.parametrize("status", [200, 500, 502, 503, 520])
def test_passing_web_page_is_retried(status: int) -> None:
    with answering(lambda asked, n: page([1]) if n else Reply(CAPTCHA, status, "text/html")) as stub:
        assert get_all(connect(stub.url)) == []


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "Rivo refused the key (401)"), (403, "Rewards could not be read: the list is not")],
)
def test_error_status_without_a_body_is_no_web_page(status: int, message: str) -> None:
    # As web frameworks answer: `head :unauthorized` in Rails.
    with answering(lambda asked, n: Reply(b"", status, "text/html")) as stub:
        assert str(error_of(connect(stub.url))).startswith(message)


def test_error_in_plain_text_is_quoted() -> None:
    with answering(lambda asked, n: Reply(b"error code: 1020", 403, "text/plain; charset=UTF-8")) as stub:
        assert str(error_of(connect(stub.url))).endswith("The server says: error code: 1020")


@pytest.mark.parametrize(
    ("location", "target", "setting"),
    [
        ("/x", "{root}/x", "{root}/x"),
        (
            "https://api.rivo.example/v2/rewards?key=" + KEY,
            "https://api.rivo.example/v2/rewards",
            "https://api.rivo.example/v2",
        ),
        (
            "https://ada:pw@login.corp:8443/sso#state=" + KEY,
            "https://login.corp:8443/sso",
            "https://login.corp:8443/sso",
        ),
        (
            f"https://login.corp/{KEY}/ada@example.com",
            "https://login.corp/[key]/[address]",
            "https://login.corp/",
        ),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_names_where_it_leads(status: int, location: str, target: str, setting: str) -> None:
    with answering(lambda asked, n: Reply(b"", status, headers={"Location": location})) as stub:
        root = stub.url.removesuffix("/merchant_api/v1")
        said = get_all(connect(stub.url))
        assert len(stub.asked) == 1
    assert len(said) == 1
    assert said[0].startswith(
        f"The server redirects to {target.format(root=root)} ({status}). The key is never sent to another URL."
    )
    assert f"set RIVO_API_URL to {setting.format(root=root)}" in said[0]
    for secret in (KEY, "ada", "pw@", "state"):
        assert secret not in said[0]


@pytest.mark.parametrize("location", [None, "", "http://[", "mailto:ada@example.com"])
def test_redirect_without_a_target_is_reported(location: str | None) -> None:
    headers = {} if location is None else {"Location": location}
    with answering(lambda asked, n: Reply(b"", 302, headers=headers)) as stub:
        said = str(error_of(connect(stub.url)))
    assert said.startswith("The server redirects without saying where (302).")
    assert "ada" not in said
