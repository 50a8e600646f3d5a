"""Behaviour when the reader of a pipe closes it early, as in `rivo query ... | head`."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click
from rich.console import Console

from cli import exits


class Group(click.Group):
    """A command group whose commands end silently with code 141 when the pipe they write to is closed."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                # Flushing at interpreter exit would print a traceback.
                sys.stdout.flush()
        except BrokenPipeError:
            leave()


class QuietConsole(Console):
    """A console that ends the command when its pipe is closed."""

    def on_broken_pipe(self) -> None:
        """Handle a closed pipe; called by rich."""
        leave()


class DeafConsole(Console):
    """A console that ignores a closed pipe: a sync must not fail because its output is no longer read."""

    def on_broken_pipe(self) -> None:
        """Handle a closed pipe; called by rich."""
        _close(self.file.fileno())


def leave() -> NoReturn:
    """End the process and discard buffered output."""
    _close(sys.stdout.fileno())
    sys.exit(exits.BROKEN_PIPE)


def _close(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
