"""Keep personal data out of error messages, which reach Dagster's log."""

from __future__ import annotations

import re

_QUOTED = re.compile(r"'([^'\n]*)'|\"([^\"\n]*)\"")
_ADDRESS = re.compile(r"[^\s'\"<>(),;]+@[^\s'\"<>(),;]+")
HIDDEN = "…"
"""Replacement for masked text."""


def masked(text: str, code: str) -> str:
    """Replace e-mail addresses, and quoted text that does not occur in `code`, by HIDDEN.

    Such text may be a value of the data; quoted text that occurs in the code is a name or a literal.
    """
    text = _QUOTED.sub(
        lambda m: m[0] if (m[1] or m[2] or "") in code else f"{m[0][0]}{HIDDEN}{m[0][0]}", text
    )
    return _ADDRESS.sub(HIDDEN, text)
