"""Sending a request, and saying what went wrong on the way."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import IncompleteRead
from typing import Any
from urllib.parse import urlsplit

import urllib3

from pipelines.errors import ApiError
from pipelines.network.certificates import Certificates, trusted_certificates
from pipelines.network.proxies import Proxy, proxy_for

_SECONDS = re.compile(r"timeout=([\d.]+)")
_HOST = re.compile(r"resolve '([^']+)'")
_NOISE = re.compile(r" \(_ssl\.c:\d+\)|\[Errno -?\d+\] ")
"""Places in Python's own source, and numbers of errors."""
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d{3})")


class ConnectionFailure(Exception):
    """A failure that may pass.

    Attributes:
        reached: false where no server of the URL was reached.
        may_have_arrived: whether the server may have received the request; never false by mistake.
    """

    def __init__(self, text: str, *, reached: bool, may_have_arrived: bool | None = None) -> None:
        super().__init__(text)
        self.reached = reached
        self.may_have_arrived = reached if may_have_arrived is None else may_have_arrived


@dataclass(frozen=True)
class Route:
    """How the host of a URL is reached: directly or through a proxy, and with which certificates."""

    url: str
    proxy: Proxy | None
    certificates: Certificates

    @classmethod
    def to(cls, url: str) -> Route:
        """Return the route to the host of a URL.

        Raises:
            SettingsError: a variable names a proxy that cannot be used.
        """
        return cls(url, proxy_for(url), trusted_certificates())

    @property
    def host(self) -> str:
        """Host name of the URL."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_encrypted(self) -> bool:
        """Whether certificates are checked on the way, those of the server or those of the proxy."""
        return self.url.startswith("https:") or bool(self.proxy and self.proxy.url.startswith("https:"))

    def __str__(self) -> str:
        """Describe the route for the user."""
        way = f"through the proxy {self.proxy}" if self.proxy else "directly, without a proxy"
        return f"{way}; trusted certificates: {self.certificates}" if self.is_encrypted else way


class Connection:
    """Connections to the host of a base URL, kept open and safe to use from several threads."""

    def __init__(self, url: str, connections: int = 1) -> None:
        """Prepare up to `connections` connections; nothing is sent yet.

        Raises:
            SettingsError: the proxy or the certificates that the environment names cannot be used.
        """
        self.route = Route.to(url)
        tls = self.route.certificates.context() if self.route.is_encrypted else None
        proxy = self.route.proxy
        self._pool: urllib3.HTTPConnectionPool | urllib3.ProxyManager
        if proxy:
            self._prefix = url
            self._pool = urllib3.ProxyManager(
                proxy.url,
                maxsize=connections,
                proxy_headers={"Proxy-Authorization": proxy.authorization} if proxy.authorization else {},
                proxy_ssl_context=tls,
                ssl_context=tls,
            )
        else:
            # A pool for one host saves parsing the URL of each request.
            parts = urlsplit(url)
            self._prefix = parts.path + (f"?{parts.query}" if parts.query else "")
            options = {"ssl_context": tls} if tls else {}
            self._pool = urllib3.connection_from_url(url, maxsize=connections, **options)

    def send(self, method: str, target: str = "", **options: Any) -> urllib3.BaseHTTPResponse:
        """Send one request, without retries and redirects.

        Args:
            method: HTTP method.
            target: what is appended to the base URL.
            options: headers, body, timeout and others of `urllib3`.

        Raises:
            ConnectionFailure: no answer came; a later request may succeed.
            ApiError: the proxy refuses, or a certificate is not trusted.
        """
        try:
            response = self._pool.urlopen(
                method, self._prefix + target, retries=False, redirect=False, **options
            )
        except urllib3.exceptions.HTTPError as error:
            raise self.failure(error) from None
        if response.status == 407 and self.route.proxy:
            raise ApiError(self._refused(self.route.proxy, 407))
        return response

    def failure(self, error: urllib3.exceptions.HTTPError) -> ConnectionFailure | ApiError:
        """Return what to raise for an error of urllib3."""
        proxy, text = self.route.proxy, str(error)
        if proxy and (tunnel := _TUNNEL_REFUSED.search(text)):
            status = int(tunnel[1])
            if 400 <= status < 500 and status not in (408, 425, 429):
                return ApiError(self._refused(proxy, status))
            return ConnectionFailure(f"the proxy {proxy} returned status {status}", reached=False)
        if _is_about_trust(error):
            return ApiError(self._distrusted(error))
        if proxy and isinstance(error, urllib3.exceptions.ProxyError):
            if "WRONG_VERSION_NUMBER" in text or "only use HTTP" in text:
                reason = f"it does not use TLS; write http:// instead of https:// in {proxy.variable}"
            else:
                reason = reason_of(error)
            return ConnectionFailure(f"the proxy {proxy} cannot be reached: {reason}", reached=False)
        if isinstance(error, urllib3.exceptions.SSLError):
            # The handshake was interrupted, or the server uses plain HTTP.
            detail = reason_of(error).rpartition("] ")[2].partition(" (_ssl")[0]
            # Or the connection broke off later: urllib3 does not tell the two apart.
            return ConnectionFailure(f"no TLS connection: {detail}", reached=False, may_have_arrived=True)
        is_new = isinstance(
            error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError
        )
        reason = reason_of(error)
        return ConnectionFailure(
            reason if is_new else f"the connection failed ({reason})", reached=not is_new
        )

    def _refused(self, proxy: Proxy, status: int) -> str:
        if status != 407:
            host = self.route.host
            return (
                f"The proxy {proxy} does not permit a connection to {host} ({status}). Ask the administrator of the "
                f"network to permit it, or add {host} to no_proxy if it can be reached without the proxy."
            )
        done = (
            "refuses the user name and password"
            if proxy.authorization
            else "requires a user name and a password"
        )
        return (
            f"The proxy {proxy} {done} (407). Set {proxy.variable} to http://user:password@host:port, and write "
            "characters such as @ : / # % in the password as %40 %3A %2F %23 %25. If the proxy requires another "
            "login (NTLM, Kerberos), run a local proxy that logs in, such as px or cntlm."
        )

    def _distrusted(self, error: Exception) -> str:
        reason = reason_of(error)
        through = f" through the proxy {self.route.proxy}" if self.route.proxy else ""
        sentence = (
            f"This machine does not trust the certificate of https://{self.route.host}{through} ({reason}). "
            f"Trusted certificates: {self.route.certificates}. "
        )
        if "expired" in reason or "not yet valid" in reason:
            return (
                f"{sentence}This machine's clock says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. If that is wrong, set "
                f"it; if it is right, tell the administrator of {self.route.host}."
            )
        return (
            f"{sentence}Check the URL. If your company's network replaces certificates, set SSL_CERT_FILE or "
            "REQUESTS_CA_BUNDLE to the file with the company's certificate (docs/deploying.md)."
        )


def _is_about_trust(error: urllib3.exceptions.HTTPError) -> bool:
    text = str(error)
    return "CERTIFICATE_VERIFY_FAILED" in text or ("hostname" in text and "certificate" in text)


def reason_of(error: BaseException) -> str:
    """Return the most specific cause of a urllib3 error in words, without addresses of Python objects."""
    exceptions = urllib3.exceptions
    if isinstance(error, exceptions.NameResolutionError):
        host = _HOST.search(str(error))
        return f"the host name {host[1]} cannot be resolved" if host else "the host name cannot be resolved"
    if isinstance(error, exceptions.TimeoutError) and not isinstance(error, exceptions.NewConnectionError):
        seconds = _SECONDS.search(str(error))
        return f"no answer within {seconds[1]} seconds" if seconds else "no answer in time"
    if isinstance(error, IncompleteRead):
        return "the response broke off"
    causes = [each for each in (*error.args, getattr(error, "reason", None)) if isinstance(each, Exception)]
    if causes:
        return reason_of(causes[-1])
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return error.strerror
    text = _NOISE.sub("", str(error)).rsplit(": ", 1)[-1].strip("()'\" ")
    return text[:150] or type(error).__name__
