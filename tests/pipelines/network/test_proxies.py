"""Which proxy a URL is requested through, and what is refused before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import SettingsError
from pipelines.network import Route

RIVO = "https://developer-api.rivo.io/merchant_api/v1"
LOGIN = "Y29ycDpzM2NyZXQtcHc="  # corp:s3cret-pw


def way(url: str = RIVO) -> str | None:
    proxy = Route.to(url).proxy
    return proxy.url if proxy else None


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("http://proxy.corp:3128", "http://proxy.corp:3128"),
        ("http://proxy.corp:3128/", "http://proxy.corp:3128"),
        ("https://proxy.corp:3129", "https://proxy.corp:3129"),
        ("HTTP://Proxy.Corp:3128", "http://proxy.corp:3128"),
        ("proxy.corp:3128", "http://proxy.corp:3128"),
        ("//proxy.corp:3128", "http://proxy.corp:3128"),
        ("proxy.corp", "http://proxy.corp:80"),
        ("10.1.2.3:8080", "http://10.1.2.3:8080"),
        ("[fd00::1]:3128", "http://[fd00::1]:3128"),
        ("corp:s3cret-pw@proxy.corp:3128", "http://proxy.corp:3128"),
        ("http://corp:s3cret-pw@proxy.corp:3128", "http://proxy.corp:3128"),
    ],
)
@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_proxy_is_read_with_and_without_a_scheme(
    name: str, value: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    proxy = Route.to(RIVO).proxy

    assert proxy
    assert (proxy.url, proxy.variable) == (url, name)
    assert proxy.authorization == (f"Basic {LOGIN}" if "@" in value else None)
    assert "s3cret" not in f"{proxy} {proxy!r} {Route.to(RIVO)} {Route.to(RIVO)!r}"
    assert LOGIN not in f"{proxy} {proxy!r} {Route.to(RIVO)!r}"


@pytest.mark.parametrize(
    ("login", "header"),
    [
        ("corp:p%40ss%2Fw%3Ard", "Y29ycDpwQHNzL3c6cmQ="),  # corp:p@ss/w:rd
        ("corp:p@ss", "Y29ycDpwQHNz"),
        ("corp", "Y29ycDo="),
        ("J%C3%BCrgen:%E2%82%AC", "SsO8cmdlbjrigqw="),
    ],
)
def test_proxy_login_is_decoded(login: str, header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://{login}@proxy.corp:3128")
    proxy = Route.to(RIVO).proxy
    assert proxy
    assert proxy.authorization == f"Basic {header}"


@pytest.mark.parametrize(
    "value", ["socks5://corp:s3cret-pw@proxy.corp:1080", "socks5h://h:1", "socks4a://h:1", "SOCKS://h:1"]
)
@pytest.mark.parametrize("name", ["https_proxy", "ALL_PROXY"])
def test_socks_proxy_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(
        SettingsError, match=f"^{name} names a SOCKS proxy, which rivo-warehouse cannot use"
    ) as error:
        Route.to(RIVO)
    assert "s3cret" not in str(error.value)


def test_socks_proxy_for_other_hosts_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://proxy.corp:1080")
    monkeypatch.setenv("https_proxy", "proxy.corp:3128")
    assert way() == "http://proxy.corp:3128"
    assert way("http://127.0.0.1:9000") is None
    monkeypatch.setenv("no_proxy", "rivo.io")
    assert way() is None


@pytest.mark.parametrize(
    "value",
    [
        "http://",
        "http://corp:s3cret-pw/x@proxy.corp:3128",
        "http://corp:s3cret-pw#x@proxy.corp:3128",
        "corp:s3cret-pw://x@proxy.corp:3128",
        "ftp://corp:s3cret-pw@proxy.corp:3128",
        "http://corp:s3cret-pw@proxy.corp:port",
        "http://corp:s3cret-pw@proxy.corp:99999",
        "http://corp:s3cret-pw@[proxy.corp:3128",
        "http://corp:s3cret-pw@proxy corp:3128",
    ],
)
def test_invalid_proxy_is_refused_without_showing_it(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", value)
    with pytest.raises(SettingsError, match=r"^https_proxy is not the address of a proxy") as error:
        Route.to(RIVO)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("exceptions", "is_direct"),
    [
        ("*", True),
        ("developer-api.rivo.io", True),
        ("rivo.io", True),
        (".rivo.io", True),
        ("*.rivo.io", True),
        ("RIVO.IO", True),
        ("localhost, rivo.io", True),
        ("localhost rivo.io", True),
        ("rivo.io:443", True),
        ("rivo.io:8443", False),
        ("api.rivo.io", False),
        ("vo.io", False),
        ("10.0.0.0/8", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_no_proxy_names_hosts(
    name: str, exceptions: str, is_direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "proxy.corp:3128")
    monkeypatch.setenv(name, exceptions)
    assert way() == (None if is_direct else "http://proxy.corp:3128")


@pytest.mark.parametrize(
    ("exceptions", "url", "is_direct"),
    [
        ("10.0.0.0/8", "http://10.1.2.3/x", True),
        ("10.0.0.0/8", "http://11.1.2.3/x", False),
        ("10.1.2.3:8080", "http://10.1.2.3:8080/x", True),
        ("fd00::/8", "http://[fd00::1]/x", True),
        ("fd00::1", "http://[fd00::1]/x", True),
        ("[fd00::1]:80", "http://[fd00::1]/x", True),
    ],
)
def test_no_proxy_names_addresses_and_networks(
    exceptions: str, url: str, is_direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "proxy.corp:3128")
    monkeypatch.setenv("no_proxy", exceptions)
    assert way(url) == (None if is_direct else "http://proxy.corp:3128")


@pytest.mark.parametrize("host", ["127.0.0.1:9", "127.9.9.9", "localhost", "a.localhost", "[::1]:9"])
def test_loopback_is_reached_directly(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "proxy.corp:3128")
    assert way(f"http://{host}/x") is None


def test_variable_of_the_scheme_comes_before_all_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "all.corp:1")
    monkeypatch.setenv("HTTPS_PROXY", "upper.corp:2")
    assert way() == "http://upper.corp:2"
    assert way("http://rivo.example") == "http://all.corp:1"
    monkeypatch.setenv("https_proxy", "lower.corp:3")
    assert way() == "http://lower.corp:3"
    monkeypatch.setenv("https_proxy", "")
    monkeypatch.delenv("ALL_PROXY")
    assert way() is None


def test_proxy_and_certificates_are_read_from_the_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Cron and systemd start a sync with an empty environment.
    file = tmp_path / ".env"
    file.write_text(f"HTTPS_PROXY='http://corp:a$b@proxy.corp:3128'\nSSL_CERT_FILE={tmp_path}/ca.pem\n")
    monkeypatch.setenv("RIVO_ENV_FILE", str(file))

    route = Route.to(RIVO)

    assert str(route) == (
        "through the proxy http://proxy.corp:3128 (HTTPS_PROXY, with a user name); "
        f"trusted certificates: {tmp_path}/ca.pem (SSL_CERT_FILE)"
    )
    monkeypatch.setenv("https_proxy", "other.corp:3128")
    assert way() == "http://other.corp:3128"
