"""Refuses a complete read that would remove so much at once that a fault is more likely than a deletion."""

from __future__ import annotations

import numpy as np

from pipelines.errors import ListError, command
from pipelines.load.landing import Landing
from pipelines.rivo.columns import Column
from pipelines.warehouse.raw_tables import live_rows

SHRINK_LIMIT = 0.8
"""A complete read with fewer rows than this share of the known ones is refused."""


def refuse_losses(landing: Landing) -> None:
    """Check a complete read before anything of it is loaded.

    Raises:
        ListError: more than a fifth of the rows is gone, or an attribute whose history is kept has lost all its
            values without being null: every customer would seem to have left the VIP tiers.
    """
    _refuse_shrinking(landing)
    for column in landing.endpoint.columns:
        if column.name in landing.endpoint.history and landing.attributes:
            _refuse_vanished(landing, column)


def _refuse_shrinking(landing: Landing) -> None:
    known = live_rows(landing.build.connection, landing.endpoint)
    came = np.unique(landing.seen).size
    if came < known * SHRINK_LIMIT:
        raise ListError(
            f"{landing.endpoint.title} was refused: Rivo returned {came:,} rows where the warehouse holds {known:,}. "
            "A list that shrinks by more than a fifth at once is more often a fault than a deletion. No row of this "
            "list was loaded. If the rows are really gone, run "
            f"`{command()} sync --allow-shrink {landing.endpoint.name}` once."
        )


def _refuse_vanished(landing: Landing, column: Column) -> None:
    came = [landing.attributes[name] for name in column.sources if name in landing.attributes]
    is_null_everywhere = came and not any(came)
    if column.name in landing.filled or is_null_everywhere:
        return
    held = live_rows(landing.build.connection, landing.endpoint, f'"{column.name}" is not null')
    if held:
        attribute = f"a readable {column.name}" if came else " or ".join(column.sources)
        raise ListError(
            f"{landing.endpoint.title} was refused: none of the {landing.counts.rows_read:,} rows that Rivo returned "
            f"has {attribute}, where the warehouse holds {held:,} values. Loading them would end all of these values "
            "in the history. No row of this list was loaded. If Rivo no longer sends the attribute, run "
            f"`{command()} sync --allow-shrink {landing.endpoint.name}` once."
        )
