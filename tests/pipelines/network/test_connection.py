"""Requests through real proxies and to real TLS servers: what arrives, and how failures on the way are reported."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipelines.errors import ApiError, RivoError, SettingsError
from pipelines.network import Connection, ConnectionFailure
from pipelines.rivo.client import Client
from tests.harness.network import Authority, proxy, relay
from tests.harness.settings import make_settings
from tests.harness.stub import Asked, Reply, Stub, answering, page

LOGIN = "corp:s3cret-pw"
API = "rivo.example/merchant_api/v1"


@pytest.fixture
def stub() -> Iterator[Stub]:
    with answering(lambda asked, n: page([1])) as stub:
        yield stub


def port(stub: Stub) -> int:
    number = urlsplit(stub.url).port
    assert number
    return number


def connect(url: str, **settings: Any) -> Client:
    return Client.of_settings(make_settings(api_key="k" * 20, api_url=url, **settings))


def read(url: str, **settings: Any) -> int:
    """Return the number of rows that a client reads."""
    return len(connect(url, **settings).get("/rewards", {}, "Rewards")["data"])


def error_of(url: str, **settings: Any) -> str:
    with pytest.raises(RivoError) as caught:
        read(url, **settings)
    said = str(caught.value)
    assert "s3cret" not in said
    assert "\n" not in said
    assert "0x" not in said
    return said


# -- proxies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_request_through_a_proxy_sends_its_login_to_the_proxy_only(
    stub: Stub, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(port(stub), LOGIN) as between:
        monkeypatch.setenv("http_proxy", f"{scheme}{LOGIN}@{between.address}")
        assert read(f"http://{API}") == 1
    assert between.lines == [f"GET http://{API}/rewards"]
    (asked,) = stub.asked
    assert asked.headers["Host"] == "rivo.example"
    assert "Proxy-Authorization" not in asked.headers


def test_tunnel_through_a_proxy_sends_its_login_and_never_the_key(
    stub: Stub, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with (
        relay(port(stub), tls=authority.server("rivo.example")) as tls,
        proxy(tls, LOGIN) as between,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://{LOGIN}@{between.address}")
        assert read(f"https://{API}") == 1
    assert between.lines == ["CONNECT rivo.example:443"]
    assert "Proxy-Authorization" not in stub.asked[0].headers


def test_proxy_with_tls_is_used(stub: Stub, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    with (
        relay(port(stub), tls=authority.server("rivo.example")) as tls,
        proxy(tls, LOGIN, tls=authority.server("127.0.0.1")) as between,
    ):
        monkeypatch.setenv("https_proxy", f"https://{LOGIN}@{between.address}")
        assert read(f"https://{API}") == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_that_requires_a_login_is_named(
    stub: Stub, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{scheme}_proxy"
    with proxy(port(stub), LOGIN) as between:
        monkeypatch.setenv(name, f"http://{between.address}")
        said = error_of(f"{scheme}://{API}")
        assert said.startswith(
            f"The proxy http://{between.address} ({name}) requires a user name and a password (407). Set {name} to"
        )
        monkeypatch.setenv(name, f"http://corp:s3cret-other@{between.address}")
        said = error_of(f"{scheme}://{API}")
        assert said.startswith(
            f"The proxy http://{between.address} ({name}, with a user name) refuses the user name and password (407)."
        )
    assert len(between.lines) == 2, "a refusal is not retried"
    assert stub.asked == []


def test_proxy_that_does_not_permit_the_host_is_named(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(port(stub)) as between:
        between.status = 403
        monkeypatch.setenv("all_proxy", between.address)
        said = error_of(f"https://{API}")
        assert said.startswith(
            f"The proxy http://{between.address} (all_proxy) does not permit a connection to rivo.example (403)."
        )
        # A request that is not encrypted gets the proxy's own page.
        said = error_of(f"http://{API}")
        assert said.startswith("A web page answered in place of Rivo's API (status 403")
        assert f"went through the proxy http://{between.address} (all_proxy)" in said
        between.status = 502
        said = error_of(f"https://{API}")
        assert f"the proxy http://{between.address} (all_proxy) returned status 502" in said
        assert "Check all_proxy, no_proxy, RIVO_API_URL" in said


def test_unreachable_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://{LOGIN}@127.0.0.1:9")
    said = error_of(f"https://{API}")
    assert "the proxy http://127.0.0.1:9 (https_proxy, with a user name) cannot be reached: " in said
    assert "refused" in said


def test_proxy_with_the_wrong_scheme_is_named(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(port(stub)) as between:
        monkeypatch.setenv("https_proxy", f"https://{LOGIN}@{between.address}")
        said = error_of(f"https://{API}")
    assert (
        f"the proxy https://{between.address} (https_proxy, with a user name) cannot be reached: it does not use TLS"
        in said
    )


def test_unusable_proxy_is_refused_when_the_client_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://corp:s3cret-pw@127.0.0.1:9")
    with pytest.raises(SettingsError, match="https_proxy names a SOCKS proxy"):
        connect(f"https://{API}")


# -- certificates ----------------------------------------------------------------------------------


@pytest.fixture
def secure(stub: Stub, authority: Authority) -> Iterator[str]:
    """The URL of a server whose certificate the authority has signed."""
    with relay(port(stub), tls=authority.server("localhost")) as tls:
        yield f"https://localhost:{tls}/merchant_api/v1"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"])
def test_certificates_of_the_company_are_trusted(
    name: str, secure: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, str(authority.file.parent if name == "SSL_CERT_DIR" else authority.file))
    assert read(secure) == 1


def test_requests_ca_bundle_can_be_a_folder(
    secure: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file.parent))
    assert read(secure) == 1


def test_ssl_cert_dir_can_be_several_folders_with_hashed_names(
    secure: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = tmp_path / "hashed"
    hashed.mkdir()
    (hashed / f"{authority.hash_of_name():08x}.0").write_bytes(authority.file.read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path}:{hashed}")
    assert read(secure) == 1


def test_all_variables_that_are_set_are_trusted(
    secure: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(Authority(tmp_path / "other").file))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert read(secure) == 1


def test_unknown_certificate_names_what_is_trusted(
    secure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = error_of(secure)
    assert said.startswith("This machine does not trust the certificate of https://localhost (")
    assert "Trusted certificates: those of this machine." in said
    assert "set SSL_CERT_FILE or REQUESTS_CA_BUNDLE" in said
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other").file
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    assert f"Trusted certificates: {other} (SSL_CERT_FILE)." in error_of(secure)


def test_expired_certificate_points_to_the_clock(
    stub: Stub, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    expired = authority.server("localhost", expires=datetime(2020, 1, 1, tzinfo=UTC))
    with relay(port(stub), tls=expired) as tls:
        said = error_of(f"https://localhost:{tls}/merchant_api/v1")
    assert f"This machine's clock says {datetime.now(UTC):%Y-%m-%d}" in said


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"])
def test_missing_certificate_file_is_named(
    name: str, secure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"{tmp_path}/gone/ca.pem")
    with pytest.raises(SettingsError) as caught:
        connect(secure)
    assert str(caught.value).startswith(
        f"{name} names the certificate file {tmp_path}/gone/ca.pem, which does not exist. Correct {name}, or unset it"
    )


@pytest.mark.parametrize("content", [b"", b"no certificate", b"\x30\x82\x01\x00"])
def test_file_without_certificates_is_named(
    content: bytes, secure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    with pytest.raises(
        SettingsError, match=r"^REQUESTS_CA_BUNDLE names .*, which has no certificates in PEM format"
    ):
        connect(secure)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "empty"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match=r"names the folder .*/empty, which has no certificates"):
        connect(secure)


def test_certificates_do_not_matter_without_tls(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    assert read(stub.url) == 1


# -- other requests --------------------------------------------------------------------------------


def test_connection_keeps_the_query_of_its_url() -> None:
    with answering(lambda asked, n: Reply({})) as stub:
        Connection(f"{stub.url}/hook?token=1").send("GET")
    assert (stub.asked[0].path, stub.asked[0].params) == ("/merchant_api/v1/hook", {"token": "1"})


def test_failure_tells_whether_the_server_was_reached() -> None:
    with pytest.raises(ConnectionFailure) as caught:
        Connection("http://127.0.0.1:9/x").send("GET")
    assert not caught.value.reached

    def never(asked: Asked, n: int) -> Reply:
        raise ConnectionError

    with answering(never) as stub, pytest.raises(ConnectionFailure) as caught:
        Connection(stub.url).send("GET")
    assert caught.value.reached


def test_refusal_of_a_proxy_is_an_api_error(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(port(stub), LOGIN) as between:
        monkeypatch.setenv("http_proxy", between.address)
        with pytest.raises(ApiError):
            Connection("http://hooks.example/T0").send("POST", body=b"{}")
