"""Durations in words."""

from __future__ import annotations


def in_words(seconds: float) -> str:
    """Return a duration for people, in the largest unit of which it has two: "51 days", "3 minutes"."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}s"
    return f"{seconds:.0f} second{'' if round(seconds) == 1 else 's'}"
