"""What a response says besides its rows: who answers, errors, redirects, dates."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import orjson
import urllib3

from pipelines.network import Route
from pipelines.rivo.columns import ADDRESS

MAX_RETRY_AFTER_SECONDS = 120.0
_PAGE = re.compile(rb"(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|title|meta|script)\b", re.I | re.S)
"""How a web page begins."""


def is_web_page(response: urllib3.BaseHTTPResponse) -> bool:
    """Return whether a person was meant to read the response: a page of a firewall, a proxy, a captcha or a login.

    An empty body is no page: web frameworks send `text/html` with an error status and no body.
    """
    body = response.data.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not body:
        return False
    return "html" in response.headers.get("Content-Type", "").lower() or bool(_PAGE.match(body[:2_000]))


def server_name(response: urllib3.BaseHTTPResponse) -> str:
    """Return the name that the answering program gives itself, such as "cloudflare"; empty if it gives none."""
    return "".join(re.findall(r"[\w./ ()-]", response.headers.get("Server", "")))[:40].strip()


def redirect_target(response: urllib3.BaseHTTPResponse, url: str) -> str:
    """Return where a redirect leads, without user name, query and fragment; empty if it does not say.

    Args:
        response: the redirect.
        url: the URL that was requested, for a target relative to it.
    """
    try:
        parts = urlsplit(urljoin(url, response.headers.get("Location", "")))
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not response.headers.get("Location") or not host:
        return ""
    path = "".join(re.findall(r"[!-~]", parts.path))
    target = f"{parts.scheme}://{host}{f':{port}' if port else ''}{path}"
    return ADDRESS.sub("[address]", target)[:200]


def described(response: urllib3.BaseHTTPResponse) -> str:
    """Return the status of a web page, and who sent it if it says so."""
    server = server_name(response)
    return f"status {response.status}{f', server {server}' if server else ''}"


def web_page_sentence(page: str, route: Route) -> str:
    """Return what to do about a web page, described as by `described`, that came in place of Rivo's API."""
    between = f"the proxy {route.proxy}" if route.proxy else "no proxy"
    return (
        f"a web page answered in place of Rivo's API ({page}). Something between this machine and Rivo refuses the "
        "request: a firewall, a proxy, or a page for people such as a captcha or a login. The request went through "
        f"{between}. Ask the administrator of the network to permit {route.host}, or Rivo's support to permit this "
        "machine. If you set RIVO_API_URL, check it."
    )


def redirect_sentence(response: urllib3.BaseHTTPResponse, base: str, path: str) -> str:
    """Return where a redirect leads, and what to do about it.

    Args:
        response: the redirect.
        base: the base URL of the API.
        path: the path that was requested below it.
    """
    target = redirect_target(response, base + path)
    where = f"the server redirects to {target}" if target else "the server redirects without saying where"
    return (
        f"{where} ({response.status}). The key is never sent to another URL. If this is the new address of Rivo's "
        f"API, set RIVO_API_URL to {target.removesuffix(path) or 'it'}. If it is a login or a warning, something "
        "between this machine and Rivo refuses the request: ask the administrator of the network to permit "
        f"{urlsplit(base).hostname}."
    )


def http_date(value: str | None) -> datetime | None:
    """Return an HTTP date in UTC; None where it is absent or invalid."""
    try:
        date = parsedate_to_datetime(value or "")
    except (TypeError, ValueError):
        return None
    return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC)


def retry_after(value: str | None, answered_at: datetime | None) -> float:
    """Return the seconds to wait after a 429: the value of the header, at most 120; 1 without a valid header.

    A date is compared with the `Date` of the same response, so that a wrong local clock does no harm.
    """
    seconds = 1.0
    if value:
        try:
            seconds = float(value)
        except ValueError:
            until = http_date(value)
            if until is not None:
                seconds = (until - (answered_at or datetime.now(UTC))).total_seconds()
    return min(max(0.1, seconds), MAX_RETRY_AFTER_SECONDS)


def error_text(response: urllib3.BaseHTTPResponse) -> str:
    """Return the error message in a response, or an empty text. Rivo does not document the format of errors."""
    kind = response.headers.get("Content-Type", "")
    if kind.startswith("text/plain"):
        return " ".join(response.data.decode("utf-8", "replace").split())
    if "json" not in kind:
        return ""
    try:
        body = orjson.loads(response.data)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(body, dict):
        return ""
    errors = body.get("errors")
    text = (
        body.get("error") or body.get("message") or (errors[0] if isinstance(errors, list) and errors else "")
    )
    return " ".join(str(text).split()) if text else ""
