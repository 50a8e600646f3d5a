"""Virtual time: milliseconds since 1970 as integers internally, ISO 8601 and HTTP dates in the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
YEAR = 365 * DAY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def to_ms(moment: datetime) -> int:
    """Convert a datetime with a time zone to milliseconds."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone: use datetime(..., tzinfo=UTC)")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """Convert milliseconds to a datetime in UTC."""
    return _EPOCH + timedelta(milliseconds=ms)


def parse(text: str) -> datetime:
    """Parse an ISO 8601 text; without a time zone it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@lru_cache(maxsize=4096)
def _date(day: int) -> datetime:
    return _EPOCH + timedelta(days=day)


@lru_cache(maxsize=4096)
def _date_text(day: int) -> str:
    return f"{_date(day):%Y-%m-%d}"


def iso(ms: int, fraction: bool = True) -> str:
    """Format as `2026-10-05T06:00:00.000Z`, or without milliseconds."""
    day, rest = divmod(ms, DAY)
    seconds, milliseconds = divmod(rest, SECOND)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    if fraction:
        return f"{_date_text(day)}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z"
    return f"{_date_text(day)}T{hour:02}:{minute:02}:{second:02}Z"


def display_date(ms: int) -> str:
    """Format as Rivo shows dates to shoppers: `May 02, 2026`."""
    date = _date(ms // DAY)
    return f"{_MONTHS[date.month - 1]} {date.day:02}, {date.year}"


def http_date(ms: int) -> str:
    """Format as an HTTP date in any locale: `Mon, 05 Oct 2026 06:00:00 GMT`."""
    moment = from_ms(ms)
    day, month = _WEEKDAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year} {moment:%H:%M:%S} GMT"


def month_of(ms: int) -> int:
    """Return the calendar month, 1 to 12."""
    return _date(ms // DAY).month
