"""What happens when whoever reads our output has enough (`| head`)."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click
from rich.console import Console

from cli import exits


class Group(click.Group):
    """Commands that end in silence, with the code of other programs, when their reader has gone."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                # Here, not at the interpreter's end, which would print a traceback.
                sys.stdout.flush()
        except BrokenPipeError:
            leave()


class QuietConsole(Console):
    """Ends the command when its reader has gone."""

    def on_broken_pipe(self) -> None:
        """Called by rich."""
        leave()


class DeafConsole(Console):
    """Goes on without a word when its reader has gone: a sync must not fail because nobody looks."""

    def on_broken_pipe(self) -> None:
        """Called by rich."""
        _close(self.file.fileno())


def leave() -> NoReturn:
    """End the process; what is still in buffers goes nowhere."""
    _close(sys.stdout.fileno())
    sys.exit(exits.BROKEN_PIPE)


def _close(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
