"""Requests that change something in Rivo. Each is sent once: it is never repeated while its outcome is unknown.

Rivo has no idempotency keys (none in any documented parameter list), so a request that timed out may have taken
effect. Only a 429, which refuses a request before it is processed, and a request that reached no server are safe to
repeat. Bodies are form fields (`application/x-www-form-urlencoded`); a batch is JSON.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

import orjson

from pipelines.errors import ApiError
from pipelines.rivo.client import Client
from pipelines.rivo.exchange import NoAnswer
from pipelines.rivo.responses import is_web_page

Outcome = Literal["done", "refused", "unknown"]

_UNDECIDED = frozenset({408, 425})
"""Statuses below 500 that do not say whether the request took effect."""
_RETRY_SECONDS = 1.0
_MAX_ATTEMPTS = 3
"""Number of attempts to reach a server."""


@dataclass(frozen=True)
class Answer:
    """The outcome of a request that changes something.

    Attributes:
        outcome: 'done' (2xx), 'refused' (nothing changed), or 'unknown' (it may have taken effect).
        status: status of the response; None without one.
        data: the object that was made or changed, as Rivo returns it; a list of them for a batch; None if none came.
        message: why it was refused or is unknown.
    """

    outcome: Outcome
    status: int | None = None
    data: Any | None = None
    message: str = ""


def _nothing() -> None:
    """Do nothing."""


def send_change(
    client: Client,
    method: str,
    path: str,
    fields: Mapping[str, Any],
    title: str,
    *,
    as_json: bool = False,
    before_repeat: Callable[[], None] = _nothing,
    is_permitted: bool = False,
) -> Answer:
    """Send one request that changes something, and wait if Rivo's rate limit says so.

    Args:
        client: the shop's API.
        method: 'POST' or 'PUT'.
        path: path below the base URL.
        fields: the fields of the body; those that are None are not sent.
        title: name of the call in messages.
        as_json: send the fields as JSON rather than as a form.
        before_repeat: called just before the request leaves again.
        is_permitted: whether the key may make this call, so that a 403 is about this request alone.

    Raises:
        ApiError: the key is refused or no server can be reached; nothing was changed.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    body = orjson.dumps(given) if as_json else urlencode({k: _form(v) for k, v in given.items()}).encode()
    kind = "application/json" if as_json else "application/x-www-form-urlencoded"
    attempts = 0
    deadline = time.monotonic() + client.patience_seconds
    while True:
        attempts += 1
        try:
            leaving = before_repeat if attempts > 1 else _nothing
            response = client.send(method, path, title, body, kind, leaving)
        except NoAnswer as error:
            if error.was_sent:
                return Answer("unknown", None, None, f"no answer: {error}")
            if attempts >= _MAX_ATTEMPTS:
                raise ApiError(
                    f"{title}: Rivo cannot be reached ({error}). Nothing was sent. Check the network of this machine, "
                    "then run the command again."
                ) from None
            time.sleep(_RETRY_SECONDS)
            continue
        if response.status != 429:
            return _read(client, response, title, is_permitted=is_permitted)
        if time.monotonic() > deadline:
            raise ApiError(
                f"{title}: Rivo's rate limit refused the request for {client.patience_seconds:.0f} seconds "
                "(RIVO_PATIENCE_SECONDS). Nothing was sent. Run the command again later."
            )
        client.pause(response)


def _read(client: Client, response: Any, title: str, *, is_permitted: bool) -> Answer:
    status = response.status
    if is_web_page(response) or 300 <= status < 400 or status in _UNDECIDED or status >= 500:
        page = " with a web page" if is_web_page(response) else ""
        return Answer("unknown", status, None, f"the server returned status {status}{page}")
    said = client.quoted(response)[:200]
    if status == 401:
        raise ApiError(
            f"Rivo refused the key (401). {client.key_name} must be the raw key from the Rivo app, Settings > "
            "Developer Toolkit (Plus plan), without 'Bearer'. Nothing was sent."
        )
    if status == 403 and not is_permitted:
        raise ApiError(
            f"{title} is not allowed for this key (403). Check what the key may do, and that the shop's Rivo plan "
            f"includes it. Nothing was sent.{f' The server says: {said}' if said else ''}"
        )
    if 200 <= status < 300:
        return Answer("done", status, _object(response.data))
    reason = f"the server returned status {status}"
    if status in (404, 405) and not said:
        reason += "; the address may be wrong"
    return Answer("refused", status, None, said or reason)


def _object(body: bytes) -> Any | None:
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return payload.get("data") if isinstance(payload, dict) else None


def _form(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
