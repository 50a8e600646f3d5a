"""The options of `rivo sync`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class SyncChoices:
    """The options of `rivo sync`: `only` restricts which lists are read, not which models are built."""

    full: bool = False
    only: Collection[str] = ()
    allow_shrink: Collection[str] = ()
    rewind: bool = False
