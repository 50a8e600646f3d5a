"""A request and its response, and the errors of a request without a usable response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.errors import ListError


@dataclass(frozen=True)
class Exchange:
    """A request and its response, for those who look at how the API answers.

    Attributes:
        title: title of the list.
        status: status of the response.
        headers: its headers.
        seconds: time until it was complete.
        size: length of the body in bytes.
        payload: its JSON object; None for an error or another document.
    """

    title: str
    status: int
    headers: Mapping[str, str]
    seconds: float
    size: int
    payload: dict[str, Any] | None


class RetryableError(Exception):
    """A failure that is worth a retry.

    Attributes:
        answered: false when no server was reached.
        may_have_arrived: whether the server may have received the request.
        retry_after: seconds for which the server forbids requests.
        page: description of the web page that came in place of JSON; None if none did.
    """

    def __init__(
        self,
        what: str,
        *,
        answered: bool,
        may_have_arrived: bool = True,
        retry_after: float | None = None,
        page: str | None = None,
    ) -> None:
        super().__init__(what)
        self.answered = answered
        self.may_have_arrived = may_have_arrived
        self.retry_after = retry_after
        self.page = page


class NotFound(ListError):
    """The server has nothing at this address (404)."""


class NoAnswer(Exception):
    """No complete response came to a request that changes something.

    Attributes:
        was_sent: whether the request may have reached the server; false if no connection was made.
    """

    def __init__(self, reason: str, *, was_sent: bool) -> None:
        super().__init__(reason)
        self.was_sent = was_sent
