"""Proxies: which one a URL is requested through."""

from __future__ import annotations

import base64
import ipaddress
import re
import urllib.request
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from pipelines.errors import SettingsError
from pipelines.network.variables import variable


@dataclass(frozen=True)
class Proxy:
    """A proxy. `str` shows its address and its variable, and no user name or password.

    Attributes:
        url: address without user name and password.
        variable: name of the variable that it comes from.
        authorization: header with user name and password; None if the URL has none.
    """

    url: str
    variable: str
    authorization: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return the address, and where it comes from."""
        login = ", with a user name" if self.authorization else ""
        return f"{self.url} ({self.variable}{login})"


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for a URL; None if its host is reached directly.

    Raises:
        SettingsError: a variable names a proxy that cannot be used.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if _is_loopback(host):
        return None
    set_variable = variable(f"{parts.scheme}_proxy") or variable("all_proxy")
    if set_variable is None:
        # macOS and Windows have a proxy of the system.
        of_system = urllib.request.getproxies() if not _any_proxy_variable() else {}
        value = of_system.get(parts.scheme)
        if not value or urllib.request.proxy_bypass(host):
            return None
        set_variable = ("the system's proxy settings", value)
    exceptions = variable("no_proxy")
    if exceptions and _is_excepted(host, port, exceptions[1]):
        return None
    return _parse_proxy(*set_variable)


def _any_proxy_variable() -> bool:
    return any(variable(f"{name}_proxy") for name in ("http", "https", "all"))


def _parse_proxy(name: str, value: str) -> Proxy:
    """Return the proxy that a variable names, with or without a scheme.

    Raises:
        SettingsError: it cannot be used. The message shows nothing of the value, since it can contain a password.
    """
    text = value if "://" in value else f"http://{value.lstrip('/')}"
    scheme = text.partition("://")[0].lower()
    if scheme.startswith("socks"):
        raise SettingsError(
            f"{name} names a SOCKS proxy, which rivo-warehouse cannot use. Set it to the address of an HTTP proxy, "
            "http://host:port, or add the host to no_proxy if it can be reached without a proxy."
        )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port or (443 if scheme == "https" else 80)
        extra = parts.path.strip("/") + parts.query + parts.fragment
    except ValueError:
        host, port, extra = "", 0, ""
    if scheme not in ("http", "https") or not re.fullmatch(r"[\w.:%-]+", host) or extra:
        raise SettingsError(
            f"{name} is not the address of a proxy. Write http://host:port or http://user:password@host:port, and "
            "characters such as @ : / # % in the password as %40 %3A %2F %23 %25."
        )
    authorization = None
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(login.encode()).decode()
    address = f"[{host}]" if ":" in host else host
    return Proxy(f"{scheme}://{address}:{port}", name, authorization)


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    """Return whether no_proxy names a host: `*`, a name, a domain, an address or a network such as 10.0.0.0/8."""
    for each in re.split(r"[,\s]+", exceptions.lower()):
        if not each:
            continue
        if each == "*":
            return True
        if "/" in each:
            if _is_in_network(host, each):
                return True
            continue
        name, of_port = _split_port(each)
        name = name.removeprefix("*").lstrip(".")
        if of_port in (None, port) and name and (host == name or host.endswith(f".{name}")):
            return True
    return False


def _split_port(text: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"\[?(.*?)\]?:(\d+)", text)
    if match and (text.startswith("[") or ":" not in match[1]):
        return match[1], int(match[2])
    return text.strip("[]"), None


def _is_in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
