"""HTTP to Rivo's Merchant REST API: the key, the rate limit, retries, and errors in plain words.

Facts (authorization, pagination and rate limit pages of Rivo's documentation): the header is
`Authorization: <raw key>`, without a prefix; 15 requests a second a store; 429 may carry `Retry-After`
as seconds or as an HTTP date.
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

if TYPE_CHECKING:
    from pipelines.settings import Settings

RATE_LIMIT = 15.0
"""Requests per second that Rivo allows a store (documentation, rate limits)."""
PATIENCE_SECONDS = 300.0
MAX_RETRY_AFTER_SECONDS = 120.0
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
_WAIT_WORTH_A_WORD = 5.0
"""Seconds that a request is tried in vain before somebody is told."""
_RETRIED = frozenset({408, 425, 429})
"""Retried like everything from 500 on: proxies in between have numbers of their own there."""
_REFUSED = {
    400: "says that the request is malformed (400)",
    403: (
        "is not allowed for this key (403): the shop's Rivo plan or the key may not include it. "
        "The other lists are not concerned"
    ),
    404: (
        "does not exist at this address (404). Check RIVO_API_URL: it must end in /merchant_api/v1, "
        "without a list behind it"
    ),
    422: "says that it cannot process the request (422)",
}


class _RetryableError(Exception):
    """Something that may go away by itself. `answered` is false when no server was reached."""

    def __init__(self, what: str, *, answered: bool, retry_after: float | None = None) -> None:
        super().__init__(what)
        self.answered = answered
        self.retry_after = retry_after


class Client:
    """A connection to one shop's API; safe to use from several threads.

    Attributes:
        requests: how many requests were sent so far, retries included; `requests_of` by the list's title.
        latency: seconds that an answer takes, as of late.
        observed_at: the `Date` header of the first answer (the local clock where there is none), UTC;
            None until something answered.
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
        """Prepare a connection; nothing is sent yet.

        Args:
            api_key: the raw key, without 'Bearer'.
            api_url: the address that the paths of the lists are appended to.
            rate_limit: requests per second, over all threads.
            patience_seconds: how long one request is retried.
            is_server_quoted: whether errors may quote what the server says, which may name a person.
            notice: called with a sentence when the server causes a long wait.
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
        """Return a client with the settings' key, address, rate limit and patience.

        Raises:
            ApiError: there is no key.
        """
        if settings.api_key is None:
            raise ApiError("RIVO_API_KEY is not set.")
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
        decode: Callable[[bytes], Any] = orjson.loads,
    ) -> dict[str, Any]:
        """One page of the list called `title` in messages: the JSON object, decoded.

        Transient failures (timeouts, dropped or truncated answers, 429, 5xx, HTML in place of JSON) are
        retried with jitter until the patience (RIVO_PATIENCE_SECONDS) is used up.

        Raises:
            ListError: this list cannot be read.
            ApiError: no list can be expected to do better: wrong key, or no server.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_RetryableError),
            wait=_wait,
            stop=self._give_up,
            before_sleep=partial(self._tell, title),
            reraise=True,
        )
        try:
            payload: dict[str, Any] = retrying(self._once, path, params, title, decode)
            self._failing_since = None
            return payload
        except _RetryableError as error:
            if self.observed_at is None and not error.answered:
                raise ApiError(
                    f"Nothing answers at {self._base} ({self._redact(str(error))}). "
                    "Check RIVO_API_URL and this machine's network, then run the sync again.",
                ) from None
            raise ListError(
                f"{title} could not be read: {self._redact(str(error))}, again and again for "
                f"{self._patience:.0f} seconds (RIVO_PATIENCE_SECONDS). Nothing of it was loaded; "
                "the next sync tries again."
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
                # A handshake that was broken off, or a server that speaks plain HTTP.
                said = _reason(error).rpartition("] ")[2].partition(" (_ssl")[0]
                raise _RetryableError(f"no TLS connection: {said}", answered=False) from None
            raise ApiError(
                f"The certificate of {self._base} is not trusted by this machine ({_reason(error)}).",
            ) from None
        except urllib3.exceptions.HTTPError as error:
            raise _RetryableError(f"the connection broke ({_reason(error)})", answered=True) from None

        date = _http_date(response.headers.get("Date"))
        took = time.monotonic() - started
        with self._lock:
            self.latency += (took - self.latency) * (0.2 if self.latency else 1.0)
            if self.observed_at is None:
                self.observed_at = date or datetime.now(UTC).replace(microsecond=0)
        if 200 <= response.status < 300:
            return self._parse(response, decode)
        self._raise_for(response, date, title)
        raise AssertionError("unreachable")

    @staticmethod
    def _parse(response: urllib3.BaseHTTPResponse, decode: Callable[[bytes], Any]) -> dict[str, Any]:
        kind = response.headers.get("Content-Type", "")
        if "html" in kind.lower():
            raise _RetryableError("an HTML page came in place of JSON", answered=True)
        try:
            payload = decode(response.data)
        except orjson.JSONDecodeError:
            raise _RetryableError("the answer is not valid JSON", answered=True) from None
        if not isinstance(payload, dict) or not isinstance(payload.get("data"), list):
            raise _RetryableError("the answer has no list called 'data'", answered=True)
        return payload

    def _raise_for(self, response: urllib3.BaseHTTPResponse, date: datetime | None, title: str) -> None:
        status = response.status
        if status in _RETRIED or status >= 500:
            retry_after = None
            if status == 429:
                retry_after = _retry_after(response.headers.get("Retry-After"), date)
                self._limiter.pause(retry_after)
            raise _RetryableError(f"the server answers {status}", answered=True, retry_after=retry_after)
        # A server's sentence may name a person, and goes into logs, sync_log and Dagster's storage.
        text = ADDRESS.sub("[address]", self._redact(_error_text(response))) if self._is_quoted else ""
        said = f" It says: {text[:200]}" if text else ""
        if status == 401:
            raise ApiError(
                "Rivo refused the key (401). RIVO_API_KEY must be the raw key from the Rivo app, "
                "Settings > Developer Toolkit (Plus plan), without 'Bearer'. Nothing was changed." + said,
            )
        if 300 <= status < 400:
            raise ListError(
                f"{title} could not be read: the server redirects ({status}). The key is not sent to another "
                "address; set RIVO_API_URL to the final one."
            )
        reason = _REFUSED.get(status, f"is answered with {status}")
        raise ListError(f"{title} could not be read: the list {reason}.{said}")

    def _give_up(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _RetryableError) and not error.answered and self.observed_at is None:
            # A wrong address is told at once; only what has answered before deserves patience.
            return state.attempt_number >= 3
        now = time.monotonic()
        self._failing_since = self._failing_since or state.start_time
        if state.attempt_number >= 3 and now - self._failing_since > self._patience:
            # Another list has waited in vain already: a server that is down is not waited for seven times.
            return True
        return now - state.start_time + _wait(state) > self._patience

    def _tell(self, title: str, state: tenacity.RetryCallState) -> None:
        waited = time.monotonic() - state.start_time
        if state.outcome and waited >= _WAIT_WORTH_A_WORD:
            error = self._redact(str(state.outcome.exception()))
            left = max(self._patience - waited, 0)
            self._notice(f"{title}: {error}. Waiting for {left:.0f} more seconds at most.")

    def _redact(self, text: str) -> str:
        return text.replace(self._key, "[key]")


def by_id(since_id: int, limit: int) -> dict[str, int]:
    """Parameters for the first `limit` rows (at most 250) with an id above `since_id`, in the order of ids."""
    return {"pagination[since_id]": since_id, "pagination[limit]": limit}


def by_number(page: int, per_page: int) -> dict[str, int]:
    """Parameters for page `page`, counted from 1, of pages of `per_page` rows (at most 250)."""
    return {"pagination[page]": page, "pagination[per_page]": per_page}


def _wait(state: tenacity.RetryCallState) -> float:
    """Seconds until the next try: none after a 429 (the limiter holds everyone), else growing with jitter."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _RetryableError) and error.retry_after is not None:
        return 0.0
    return tenacity.wait_random_exponential(multiplier=0.5, max=20)(state)


def _pool(base: str) -> tuple[urllib3.HTTPConnectionPool | urllib3.ProxyManager, str]:
    """Connections to the API, and what its paths begin with there.

    Through the environment's proxy where one is set for its host; else by a pool for that one host, which is
    spared to look at every address anew.
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
    """An HTTP date as UTC, None where there is none or it cannot be read."""
    try:
        date = parsedate_to_datetime(value or "")
    except (TypeError, ValueError):
        return None
    return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC)


def _retry_after(value: str | None, answered_at: datetime | None) -> float:
    """Seconds to wait after a 429: as the header says, at most two minutes; one second without it.

    A date counts from the answer's own `Date`, so that a wrong local clock does no harm.
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
    """What the server said of itself, or nothing. The shape of errors is undocumented."""
    if "json" not in response.headers.get("Content-Type", ""):
        return ""
    try:
        body = orjson.loads(response.data)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(body, dict):
        return ""
    errors = body.get("errors")
    said = (
        body.get("error") or body.get("message") or (errors[0] if isinstance(errors, list) and errors else "")
    )
    return " ".join(str(said).split()) if said else ""


def _reason(error: Exception) -> str:
    """The last, most telling part of a urllib3 error, without addresses of Python objects."""
    text = str(error).rsplit(": ", 1)[-1].strip("()'\" ")
    return text[:150] or type(error).__name__
