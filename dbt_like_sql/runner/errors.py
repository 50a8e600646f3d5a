"""Errors in a project, with a hint for its author."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ProjectError(Exception):
    """Error in the project's files. The message says where it is and what is wrong."""


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return ' Did you mean <closest candidate>?', or '' if no candidate is close.

    The name is also compared without a schema, because a forgotten schema is the
    most common mistake.
    """
    known = sorted(set(candidates))
    by_bare_name = {candidate.rsplit(".", 1)[-1]: candidate for candidate in reversed(known)}
    near = get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    if not near:
        near = get_close_matches(name.lower().rsplit(".", 1)[-1], by_bare_name, n=1, cutoff=0.75)
    return f" Did you mean {by_bare_name.get(near[0], near[0])}?" if near else ""
