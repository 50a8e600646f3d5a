"""What a complete read may not do: take away so much at once that a fault is likelier than the truth."""

from __future__ import annotations

import numpy as np

from pipelines.errors import ListError, command
from pipelines.load.landing import Landing
from pipelines.rivo.columns import Column
from pipelines.warehouse.raw_tables import live_rows

SHRINK_LIMIT = 0.8
"""A complete read with fewer rows than this share of the known ones is refused."""


def refuse_losses(landing: Landing) -> None:
    """Look at a complete read before anything of it is loaded.

    Raises:
        ListError: a fifth of the rows is gone, or an attribute whose history is kept has lost all its values
            without being null: every customer would seem to have left the VIP tiers.
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
            "A list that shrinks by more than a fifth at once is more often a fault than a deletion. If the rows are "
            f"really gone, run `{command()} sync --allow-shrink {landing.endpoint.name}` once."
        )


def _refuse_vanished(landing: Landing, column: Column) -> None:
    came = [landing.attributes[name] for name in column.sources if name in landing.attributes]
    is_null_everywhere = came and not any(came)
    if column.name in landing.filled or is_null_everywhere:
        return
    held = live_rows(landing.build.connection, landing.endpoint, f'"{column.name}" is not null')
    if held:
        said = (
            f"has {column.name} in a form that can be read" if came else f"has {' or '.join(column.sources)}"
        )
        raise ListError(
            f"{landing.endpoint.title} was refused: of the {landing.counts.rows_read:,} rows that Rivo returned none "
            f"{said}, where the warehouse holds {held:,} values. Loading that would write into the history that all "
            "of them ended. If Rivo has really given the attribute up, run "
            f"`{command()} sync --allow-shrink {landing.endpoint.name}` once."
        )
