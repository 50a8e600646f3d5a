"""`rivo sandbox`: passes its options on to `python -m sandbox`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click


@click.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def sandbox(options: Sequence[str]) -> None:
    """Run a Rivo-compatible store with simulated data."""
    from sandbox.__main__ import main as serve

    sys.exit(serve(list(options), called="rivo sandbox"))
