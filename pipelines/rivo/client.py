"""HTTP client for Rivo's Merchant REST API: the key, the rate limit, retries and error messages.

The header is `Authorization: <raw key>`, without a prefix (Rivo's documentation, reference page authorization). Other
clients report a limit of 15 requests per second and store, and 429 responses with `Retry-After` in seconds or as an
HTTP date.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlencode

import orjson
import tenacity
import urllib3

from pipelines.errors import ApiError, ListError, RivoError, command
from pipelines.network import Connection, ConnectionFailure, Route
from pipelines.rivo.columns import ADDRESS, API_URL
from pipelines.rivo.exchange import Exchange, NoAnswer, NotFound, RetryableError
from pipelines.rivo.limiter import RateLimiter
from pipelines.rivo.repair import decode_json
from pipelines.rivo.responses import (
    described,
    error_text,
    http_date,
    is_web_page,
    redirect_sentence,
    retry_after,
    web_page_sentence,
)

if TYPE_CHECKING:
    from pipelines.settings import Settings

RATE_LIMIT = 15.0
"""Requests per second that Rivo permits per store, as reported by other clients."""
PATIENCE_SECONDS = 300.0
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
_NOTICE_AFTER_SECONDS = 5.0
"""Seconds for which a request fails before a notice says so."""
_RETRIED = frozenset({408, 425, 429})
"""Statuses below 500 that are retried. From 500 up all are, since proxies use unofficial ones such as 520."""
_REFUSED = {
    400: "the server rejected the request as malformed (400)",
    403: (
        "the list is not allowed for this key (403). Check what the key may read, and that the shop's Rivo plan "
        "includes the list"
    ),
    404: (
        "the list does not exist at this address (404). Check RIVO_API_URL: it must end in /merchant_api/v1, "
        "without the name of a list"
    ),
    422: "the server could not process the request (422)",
}


class Client:
    """A client for one shop's API; safe to use from several threads.

    Attributes:
        key_name: the variable that holds the key, in error messages.
        requests: number of requests sent so far, retries included.
        requests_of: the same by list, with the title of the list as the key.
        latency: moving average of the response time, in seconds.
        observed_at: the `Date` header of the first response, in UTC, or the local time if it has none; None before it.
    """

    def __init__(
        self,
        api_key: str,
        api_url: str = API_URL,
        *,
        rate_limit: float = RATE_LIMIT,
        patience_seconds: float = PATIENCE_SECONDS,
        is_server_quoted: bool = True,
        key_name: str = "RIVO_API_KEY",
        notice: Callable[[str], None] = lambda _sentence: None,
        listen: Callable[[Exchange], None] | None = None,
    ) -> None:
        """Prepare the connection; no request is sent yet.

        Args:
            api_key: the raw key, without 'Bearer'.
            api_url: the base URL, to which the path of a list is appended.
            rate_limit: requests per second, for all threads together.
            patience_seconds: how long one request is retried.
            is_server_quoted: whether error messages quote the server, whose text can contain personal data.
            key_name: the variable that holds the key, in error messages.
            notice: called with a message when a request has to wait long.
            listen: called with each request that was answered.
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
        self.key_name = key_name
        self._limiter = RateLimiter(rate_limit)
        self._connection = Connection(self._base, connections=16)
        self._has_answered = False
        self._lock = threading.Lock()
        self._notice = notice
        self._listen = listen
        self._failing_since: float | None = None
        self.requests = 0
        self.requests_of: Counter[str] = Counter()
        self.latency = 0.0
        self.observed_at: datetime | None = None

    @property
    def patience_seconds(self) -> float:
        """How long one request is retried."""
        return self._patience

    @property
    def route(self) -> Route:
        """How the API is reached: through which proxy, and with which certificates."""
        return self._connection.route

    @classmethod
    def of_settings(
        cls,
        settings: Settings,
        notice: Callable[[str], None] = lambda _sentence: None,
        listen: Callable[[Exchange], None] | None = None,
    ) -> Client:
        """Return a client with the key, URL, rate limit and retry time of the settings.

        Raises:
            ApiError: RIVO_API_KEY is not set.
        """
        if settings.api_key is None:
            raise ApiError(f"{settings.variable('api_key')} is not set. Set it in .env (see .env.example).")
        return cls(
            settings.api_key.get_secret_value(),
            settings.api_url,
            rate_limit=settings.rate_limit,
            patience_seconds=settings.patience_seconds,
            is_server_quoted=settings.pii == "keep",
            key_name=settings.variable("api_key"),
            notice=notice,
            listen=listen,
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
            retry=tenacity.retry_if_exception_type(RetryableError),
            wait=_wait,
            stop=self._give_up,
            before_sleep=partial(self._notify, title),
            reraise=True,
        )
        try:
            payload: dict[str, Any] = retrying(self._once, path, params, title, decode)
            self._failing_since = None
            return payload
        except RetryableError as error:
            if self.observed_at is None and not error.answered:
                proxy = self.route.proxy
                check = f"{proxy.variable}, no_proxy, " if proxy else ""
                raise ApiError(
                    f"Cannot connect to {self._base} ({self._redact(str(error))}). "
                    f"Check {check}RIVO_API_URL and the network of this machine, then run the command again.",
                ) from None
            if error.page:
                raise self._wrong_answer(title, web_page_sentence(error.page, self.route)) from None
            raise ListError(
                f"{title} could not be read: {self._redact(str(error))}. Retries for up to {self._patience:.0f} "
                "seconds (RIVO_PATIENCE_SECONDS) failed. No row of this list was loaded; the next sync tries again."
            ) from None

    def find(self, path: str, title: str) -> Any | None:
        """Request one object, such as `/customers/7198630248648`, as `get` requests a page; None if there is none."""
        try:
            return self.get(path, {}, title, _only)["data"][0]
        except NotFound:
            return None

    def _once(
        self, path: str, params: Mapping[str, int | str], title: str, decode: Callable[[bytes], Any]
    ) -> dict[str, Any]:
        response, took = self._exchange("GET", f"{path}?{urlencode(params)}" if params else path, title)
        date = http_date(response.headers.get("Date"))
        with self._lock:
            # The clock of a firewall or a proxy is not Rivo's.
            if self.observed_at is None and not is_web_page(response):
                self.observed_at = date or datetime.now(UTC).replace(microsecond=0)
        payload = None
        try:
            if 200 <= response.status < 300:
                payload = self._parse(response, params, decode)
                return payload
            self._raise_for(response, date, path, title)
        finally:
            if self._listen:
                headers = dict(response.headers)
                self._listen(Exchange(title, response.status, headers, took, len(response.data), payload))

    def send(
        self,
        method: str,
        target: str,
        title: str,
        body: bytes,
        kind: str,
        leaving: Callable[[], None] = lambda: None,
    ) -> urllib3.BaseHTTPResponse:
        """Send one request that changes something, once, when the rate limit permits it.

        Args:
            method: HTTP method.
            target: path below the base URL.
            title: what the request is counted as in `requests_of`.
            body: the request's body.
            kind: its `Content-Type`.
            leaving: called when the rate limit permits the request, just before it leaves.

        Raises:
            NoAnswer: no complete response came.
            ApiError: the proxy refuses, or a certificate is not trusted.
        """
        try:
            headers = {"Content-Type": kind}
            return self._exchange(method, target, title, body=body, headers=headers, leaving=leaving)[0]
        except RetryableError as error:
            raise NoAnswer(self._redact(str(error)), was_sent=error.may_have_arrived) from None

    def pause(self, response: urllib3.BaseHTTPResponse) -> None:
        """Block all requests for as long as a 429 response says."""
        date = http_date(response.headers.get("Date"))
        self._limiter.pause(retry_after(response.headers.get("Retry-After"), date))

    def quoted(self, response: urllib3.BaseHTTPResponse) -> str:
        """Return the server's error message without the key and addresses; empty without one, or if RIVO_PII is set."""
        # The server's text can contain personal data, and goes into logs, sync_log and Dagster's storage.
        return ADDRESS.sub("[address]", self._redact(error_text(response))) if self._is_quoted else ""

    def _exchange(
        self, method: str, target: str, title: str, **options: Any
    ) -> tuple[urllib3.BaseHTTPResponse, float]:
        """Send one request when the rate limit permits it; return the complete response, and its seconds."""
        headers = {**self._headers, **options.pop("headers", {})}
        leaving = options.pop("leaving", None)
        with self._limiter.request():
            with self._lock:
                self.requests += 1
                self.requests_of[title] += 1
            if leaving:
                leaving()
            started = time.monotonic()
            try:
                response = self._connection.send(
                    method, target, headers=headers, timeout=_TIMEOUT, preload_content=False, **options
                )
            except ConnectionFailure as failure:
                raise RetryableError(
                    str(failure), answered=failure.reached, may_have_arrived=failure.may_have_arrived
                ) from None
        try:
            _ = response.data
        except urllib3.exceptions.HTTPError as error:
            raise RetryableError(str(self._connection.failure(error)), answered=True) from None
        took = time.monotonic() - started
        with self._lock:
            self.latency += (took - self.latency) * (0.2 if self.latency else 1.0)
        return response, took

    def _parse(
        self,
        response: urllib3.BaseHTTPResponse,
        params: Mapping[str, int | str],
        decode: Callable[[bytes], Any],
    ) -> dict[str, Any]:
        if is_web_page(response):
            raise RetryableError(
                "the server returned an HTML page instead of JSON", answered=True, page=described(response)
            )
        try:
            payload = decode(response.data)
        except orjson.JSONDecodeError as error:
            asked = ", ".join(f"{name}={value}" for name, value in params.items())
            raise RetryableError(
                f"the response{f' to {asked}' if asked else ''} is not valid JSON from character {error.pos + 1:,} on, "
                f"of {len(response.data):,} bytes",
                answered=True,
            ) from None
        if not isinstance(payload, dict) or not isinstance(payload.get("data"), list):
            raise RetryableError("the response has no array named 'data'", answered=True)
        self._has_answered = True
        return payload

    def _raise_for(
        self, response: urllib3.BaseHTTPResponse, date: datetime | None, path: str, title: str
    ) -> NoReturn:
        status = response.status
        if status in _RETRIED or status >= 500:
            pause = None
            if status == 429:
                pause = retry_after(response.headers.get("Retry-After"), date)
                self._limiter.pause(pause)
            page = " with a web page" if is_web_page(response) else ""
            raise RetryableError(
                f"the server returned status {status}{page}", answered=True, retry_after=pause
            )
        if 300 <= status < 400:
            raise self._wrong_answer(title, self._redact(redirect_sentence(response, self._base, path)))
        if is_web_page(response):
            raise self._wrong_answer(title, web_page_sentence(described(response), self.route))
        text = self.quoted(response)
        quoted = f" The server says: {text[:200]}" if text else ""
        if status == 401:
            raise ApiError(
                f"Rivo refused the key (401). {self.key_name} must be the raw key from the Rivo app, "
                "Settings > Developer Toolkit (Plus plan), without 'Bearer'. Nothing was changed." + quoted,
            )
        reason = _REFUSED.get(status, f"the server returned status {status}")
        if status == 404 and self._has_answered:
            reason = (
                "the server has no such address (404), although it answered other requests. If it stays so, report "
                f"it, with the file that `{command()} doctor --report FILE` writes"
            )
        kind = NotFound if status == 404 else ListError
        raise kind(f"{title} could not be read: {reason}.{quoted}")

    def _wrong_answer(self, title: str, sentence: str) -> RivoError:
        """Return the error for an answer that is not from Rivo's API.

        Before the API has answered anything, all lists would get the same answer, so it is reported once.
        """
        if self._has_answered:
            return ListError(f"{title} could not be read: {sentence} The other lists are unaffected.")
        return ApiError(sentence[0].upper() + sentence[1:] + " Nothing was changed.")

    def _give_up(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, RetryableError) and not error.answered and self.observed_at is None:
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


def _only(body: bytes) -> Any:
    """Decode the response with one object as a page of one row."""
    payload = decode_json(body)
    return {"data": [payload["data"]]} if isinstance(payload, dict) and payload.get("data") else payload


def _wait(state: tenacity.RetryCallState) -> float:
    """Return the seconds until the next attempt: 0 after a 429, when the limiter delays all threads."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RetryableError) and error.retry_after is not None:
        return 0.0
    return tenacity.wait_random_exponential(multiplier=0.5, max=20)(state)
