"""What is wrong with a project, said to the person who wrote it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ProjectError(Exception):
    """The project cannot be used as it is; the message says where and why, in plain sentences."""


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return ' Did you mean <the nearest candidate>?', or '' where nothing is near.

    A name written without its schema is held against the bare names too, for
    forgetting the schema is the most common slip of all.
    """
    known = sorted(set(candidates))
    by_bare_name = {candidate.rsplit(".", 1)[-1]: candidate for candidate in reversed(known)}
    near = get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    if not near:
        near = get_close_matches(name.lower().rsplit(".", 1)[-1], by_bare_name, n=1, cutoff=0.75)
    return f" Did you mean {by_bare_name.get(near[0], near[0])}?" if near else ""
