"""Keeping personal data out of messages: those of a failed table or test reach Dagster's log and whoever reads it."""

from __future__ import annotations

import re

_QUOTED = re.compile(r"'([^'\n]*)'|\"([^\"\n]*)\"")
_ADDRESS = re.compile(r"[^\s'\"<>(),;]+@[^\s'\"<>(),;]+")
HIDDEN = "…"


def masked(text: str, code: str) -> str:
    """Hide what may be a value of the data: quoted text that `code` does not hold, and e-mail addresses."""
    text = _QUOTED.sub(
        lambda m: m[0] if (m[1] or m[2] or "") in code else f"{m[0][0]}{HIDDEN}{m[0][0]}", text
    )
    return _ADDRESS.sub(HIDDEN, text)
