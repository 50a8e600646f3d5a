"""HTTP client for Rivo's Merchant REST API: the key, the rate limit, retries and error messages.

The header is `Authorization: <raw key>`, without a prefix (Rivo's documentation, reference page authorization). Other
clients report a limit of 15 requests per second and store, and 429 responses with `Retry-After` in seconds or as an
HTTP date.
"""

from __future__ import annotations

import os
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import orjson
import tenacity
import urllib3

from pipelines.errors import ApiError, ListError
from pipelines.rivo.columns import ADDRESS, API_URL
from pipelines.rivo.limiter import RateLimiter
from pipelines.rivo.repair import decode_json

if TYPE_CHECKING:
    from pipelines.settings import Settings

RATE_LIMIT = 15.0
"""Requests per second that Rivo permits per store, as reported by other clients."""
PATIENCE_SECONDS = 300.0
MAX_RETRY_AFTER_SECONDS = 120.0
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
_NOTICE_AFTER_SECONDS = 5.0
"""Seconds for which a request fails before a notice says so."""
_RETRIED = frozenset({408, 425, 429})
"""Statuses below 500 that are retried. From 500 up all are, since proxies use unofficial ones such as 520."""
_REFUSED = {
    400: "the server rejected the request as malformed (400)",
    403: (
        "the list is not allowed for this key (403). Check that the shop's Rivo plan includes it. "
        "The other lists are unaffected"
    ),
    404: (
        "the list does not exist at this address (404). Check RIVO_API_URL: it must end in /merchant_api/v1, "
        "without the name of a list"
    ),
    422: "the server could not process the request (422)",
}


class _RetryableError(Exception):
    """A failure that is worth a retry. `answered` is false when no server was reached."""

    def __init__(self, what: str, *, answered: bool, retry_after: float | None = None) -> None:
        super().__init__(what)
        self.answered = answered
        self.retry_after = retry_after


class Client:
    """A client for one shop's API; safe to use from several threads.

    Attributes:
        requests: number of requests sent so far, retries included.
        requests_of: the same by list, with the title of the list as the key.
        latency: moving average of the response time, in seconds.
        observed_at: the `Date` header of the first response, in UTC, or the local time if it has none; None before the
            first response.
    """

    def __init__(
        self,
        api_key: str,
        api_url: str = API_URL,
        *,
        rate_limit: float = RATE_LIMIT,
        patience_seconds: float = PATIENCE_SECONDS,
        is_server_quoted: bool = True,
        notice: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        """Prepare the connection; no request is sent yet.

        Args:
            api_key: the raw key, without 'Bearer'.
            api_url: the base URL, to which the path of a list is appended.
            rate_limit: requests per second, for all threads together.
            patience_seconds: how long one request is retried.
            is_server_quoted: whether error messages quote the server, whose text can contain personal data.
            notice: called with a message when a request has to wait long.
        """
        self._key = api_key
        self._headers = {
            "Authorization": self._key,
            "Accept": "application/json",
            "User-Agent": "rivo-warehouse",
        }
        self._base = api_url.rstrip("/")
        self._patience = patience_seconds
        self._is_quoted = is_server_quoted
        self._limiter = RateLimiter(rate_limit)
        self._pool, self._prefix = _pool(self._base)
        self._lock = threading.Lock()
        self._notice = notice
        self._failing_since: float | None = None
        self.requests = 0
        self.requests_of: Counter[str] = Counter()
        self.latency = 0.0
        self.observed_at: datetime | None = None

    @classmethod
    def of_settings(
        cls, settings: Settings, notice: Callable[[str], None] = lambda _sentence: None
    ) -> Client:
        """Return a client with the key, URL, rate limit and retry time of the settings.

        Raises:
            ApiError: RIVO_API_KEY is not set.
        """
        if settings.api_key is None:
            raise ApiError("RIVO_API_KEY is not set. Set it in .env (see .env.example).")
        return cls(
            settings.api_key.get_secret_value(),
            settings.api_url,
            rate_limit=settings.rate_limit,
            patience_seconds=settings.patience_seconds,
            is_server_quoted=settings.pii == "keep",
            notice=notice,
        )

    def get(
        self,
        path: str,
        params: Mapping[str, int | str],
        title: str,
        decode: Callable[[bytes], Any] = decode_json,
    ) -> dict[str, Any]:
        """Request one page of a list and return its JSON object.

        Transient failures (timeouts, dropped or truncated responses, 429, 5xx, HTML instead of JSON) are retried with
        jitter for up to `patience_seconds` (RIVO_PATIENCE_SECONDS).

        Args:
            path: path of the list below the base URL.
            params: parameters of the query.
            title: name of the list in messages.
            decode: converts the response body to an object.

        Raises:
            ListError: this list cannot be read.
            ApiError: no list can be read, because the key is wrong or no server answers.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_RetryableError),
            wait=_wait,
            stop=self._give_up,
            before_sleep=partial(self._notify, title),
            reraise=True,
        )
        try:
            payload: dict[str, Any] = retrying(self._once, path, params, title, decode)
            self._failing_since = None
            return payload
        except _RetryableError as error:
            if self.observed_at is None and not error.answered:
                raise ApiError(
                    f"Cannot connect to {self._base} ({self._redact(str(error))}). "
                    "Check RIVO_API_URL and the network of this machine, then run the sync again.",
                ) from None
            raise ListError(
                f"{title} could not be read: {self._redact(str(error))}. Retries for up to {self._patience:.0f} "
                "seconds (RIVO_PATIENCE_SECONDS) failed. No row of this list was loaded; the next sync tries again."
            ) from None

    def _once(
        self, path: str, params: Mapping[str, int | str], title: str, decode: Callable[[bytes], Any]
    ) -> dict[str, Any]:
        self._limiter.acquire()
        with self._lock:
            self.requests += 1
            self.requests_of[title] += 1
        started = time.monotonic()
        try:
            response = self._pool.urlopen(
                "GET",
                f"{self._prefix}{path}?{urlencode(params)}",
                headers=self._headers,
                retries=False,
                redirect=False,
                timeout=_TIMEOUT,
            )
        except (
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.ConnectTimeoutError,
            urllib3.exceptions.ProxyError,
        ) as error:
            raise _RetryableError(_reason(error), answered=False) from None
        except urllib3.exceptions.SSLError as error:
            if "CERTIFICATE" not in str(error).upper():
                # The handshake was interrupted, or the server uses plain HTTP.
                detail = _reason(error).rpartition("] ")[2].partition(" (_ssl")[0]
                raise _RetryableError(f"no TLS connection: {detail}", answered=False) from None
            raise ApiError(
                f"This machine does not trust the certificate of {self._base} ({_reason(error)}). "
                "Check RIVO_API_URL, or set SSL_CERT_FILE to the file of trusted certificates.",
            ) from None
        except urllib3.exceptions.HTTPError as error:
            raise _RetryableError(f"the connection failed ({_reason(error)})", answered=True) from None

        date = _http_date(response.headers.get("Date"))
        took = time.monotonic() - started
        with self._lock:
            self.latency += (took - self.latency) * (0.2 if self.latency else 1.0)
            if self.observed_at is None:
                self.observed_at = date or datetime.now(UTC).replace(microsecond=0)
        if 200 <= response.status < 300:
            return self._parse(response, params, decode)
        self._raise_for(response, date, title)
        raise AssertionError("unreachable")

    @staticmethod
    def _parse(
        response: urllib3.BaseHTTPResponse, params: Mapping[str, int | str], decode: Callable[[bytes], Any]
    ) -> dict[str, Any]:
        kind = response.headers.get("Content-Type", "")
        if "html" in kind.lower():
            raise _RetryableError("the server returned an HTML page instead of JSON", answered=True)
        try:
            payload = decode(response.data)
        except orjson.JSONDecodeError as error:
            asked = ", ".join(f"{name}={value}" for name, value in params.items())
            raise _RetryableError(
                f"the response to {asked} is not valid JSON from character {error.pos + 1:,} on, "
                f"of {len(response.data):,} bytes",
                answered=True,
            ) from None
        if not isinstance(payload, dict) or not isinstance(payload.get("data"), list):
            raise _RetryableError("the response has no array named 'data'", answered=True)
        return payload

    def _raise_for(self, response: urllib3.BaseHTTPResponse, date: datetime | None, title: str) -> None:
        status = response.status
        if status in _RETRIED or status >= 500:
            retry_after = None
            if status == 429:
                retry_after = _retry_after(response.headers.get("Retry-After"), date)
                self._limiter.pause(retry_after)
            raise _RetryableError(
                f"the server returned status {status}", answered=True, retry_after=retry_after
            )
        # The server's text can contain personal data, and goes into logs, sync_log and Dagster's storage.
        text = ADDRESS.sub("[address]", self._redact(_error_text(response))) if self._is_quoted else ""
        quoted = f" The server says: {text[:200]}" if text else ""
        if status == 401:
            raise ApiError(
                "Rivo refused the key (401). RIVO_API_KEY must be the raw key from the Rivo app, "
                "Settings > Developer Toolkit (Plus plan), without 'Bearer'. Nothing was changed." + quoted,
            )
        if 300 <= status < 400:
            raise ListError(
                f"{title} could not be read: the server redirects ({status}). The key is never sent to another "
                "URL; set RIVO_API_URL to the final one."
            )
        reason = _REFUSED.get(status, f"the server returned status {status}")
        raise ListError(f"{title} could not be read: {reason}.{quoted}")

    def _give_up(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _RetryableError) and not error.answered and self.observed_at is None:
            # A wrong URL must be reported soon; only a server that has answered before is retried for long.
            return state.attempt_number >= 3
        now = time.monotonic()
        self._failing_since = self._failing_since or state.start_time
        if state.attempt_number >= 3 and now - self._failing_since > self._patience:
            # The server has failed for that long, for another list: do not wait that long again for every list.
            return True
        return now - state.start_time + _wait(state) > self._patience

    def _notify(self, title: str, state: tenacity.RetryCallState) -> None:
        waited = time.monotonic() - state.start_time
        if state.outcome and waited >= _NOTICE_AFTER_SECONDS:
            error = self._redact(str(state.outcome.exception()))
            left = max(self._patience - waited, 0)
            self._notice(f"{title}: {error}. Retrying for up to {left:.0f} more seconds.")

    def _redact(self, text: str) -> str:
        return text.replace(self._key, "[key]")


def by_id(since_id: int, limit: int) -> dict[str, int]:
    """Return the parameters that request the first `limit` rows (at most 250) after `since_id`, by ascending id."""
    return {"pagination[since_id]": since_id, "pagination[limit]": limit}


def by_number(page: int, per_page: int) -> dict[str, int]:
    """Return the parameters that request page `page`, counted from 1, with `per_page` rows (at most 250) per page."""
    return {"pagination[page]": page, "pagination[per_page]": per_page}


def _wait(state: tenacity.RetryCallState) -> float:
    """Return the seconds until the next attempt: 0 after a 429, when the limiter delays all threads."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _RetryableError) and error.retry_after is not None:
        return 0.0
    return tenacity.wait_random_exponential(multiplier=0.5, max=20)(state)


def _pool(base: str) -> tuple[urllib3.HTTPConnectionPool | urllib3.ProxyManager, str]:
    """Return a connection pool for the API, and the prefix of the URLs to request from it.

    The pool uses the proxy of the environment if one is set for the host. Otherwise it is a pool for that host alone,
    which saves parsing the URL of each request.
    """
    parts = urlsplit(base)
    proxy = urllib.request.getproxies().get(parts.scheme)
    host = parts.hostname or ""
    certificates = os.environ.get("SSL_CERT_FILE")
    if proxy and not urllib.request.proxy_bypass(host) and host not in ("127.0.0.1", "localhost", "::1"):
        return urllib3.ProxyManager(proxy, maxsize=16, ca_certs=certificates), base
    tls = {"ca_certs": certificates} if parts.scheme == "https" else {}
    return urllib3.connection_from_url(base, maxsize=16, **tls), parts.path


def _http_date(value: str | None) -> datetime | None:
    """Return an HTTP date in UTC; None where it is absent or invalid."""
    try:
        date = parsedate_to_datetime(value or "")
    except (TypeError, ValueError):
        return None
    return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC)


def _retry_after(value: str | None, answered_at: datetime | None) -> float:
    """Return the seconds to wait after a 429: the value of the header, at most 120; 1 without a valid header.

    A date is compared with the `Date` of the same response, so that a wrong local clock does no harm.
    """
    seconds = 1.0
    if value:
        try:
            seconds = float(value)
        except ValueError:
            until = _http_date(value)
            if until is not None:
                seconds = (until - (answered_at or datetime.now(UTC))).total_seconds()
    return min(max(0.1, seconds), MAX_RETRY_AFTER_SECONDS)


def _error_text(response: urllib3.BaseHTTPResponse) -> str:
    """Return the error message in a response, or an empty text. Rivo does not document the format of errors."""
    if "json" not in response.headers.get("Content-Type", ""):
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


def _reason(error: Exception) -> str:
    """Return the last and most specific part of a urllib3 error, without addresses of Python objects."""
    text = str(error).rsplit(": ", 1)[-1].strip("()'\" ")
    return text[:150] or type(error).__name__
