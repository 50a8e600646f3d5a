"""Output of commands that read the union of all shops."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipelines.warehouse import AllShops
    from pipelines.warehouse.all_shops import ShopState


def note_left_out(union: AllShops) -> None:
    """Say on standard error which shops are not in a union."""
    if union.left_out:
        click.echo(f"Left out, because there is no warehouse yet: {', '.join(union.left_out)}.", err=True)


def print_states(states: Sequence[ShopState]) -> None:
    """Print a line about each shop in the file of all shops."""
    from cli.terminal.tables import counted

    width = max(len(state.shop) for state in states)
    for state in states:
        click.echo(f"{state.shop:<{width}}  {_data(state.observed_at)}, {counted(state.row_count, 'row')}")


def _data(observed_at: datetime | None) -> str:
    return f"data of {observed_at:%Y-%m-%d %H:%M} UTC" if observed_at else "no complete sync yet"
