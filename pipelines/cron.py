"""Checks the cron expression of a schedule."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_NAMES = re.compile(r"jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat", re.I)


def check_cron(cron: str) -> None:
    """Check that a text is a cron expression of five fields that matches some date.

    Raises:
        ValueError: it is not.
    """
    fields = cron.split()
    if len(fields) != 5 or not all(map(_is_field, fields, _LIMITS)):
        raise ValueError(f"'{cron}' is not a cron expression of five fields, such as 0 3 * * *")
    from croniter import CroniterError, croniter

    try:
        croniter(cron, datetime.now(UTC)).get_next()
    except CroniterError:
        raise ValueError(f"'{cron}' matches no date") from None


def _is_field(text: str, limits: tuple[int, int]) -> bool:
    """Return whether a field of a cron expression is valid: `*`, numbers, ranges, steps, lists, names."""
    for part in text.split(","):
        match = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", part)
        if not match or match[3] == "0":
            return False
        for value in match.group(1, 2):
            number = value and value.isdigit() and limits[0] <= int(value) <= limits[1]
            if value not in (None, "*") and not number and not _NAMES.fullmatch(value or ""):
                return False
    return True
