"""Lines about publications to targets."""

from __future__ import annotations

from cli.terminal.tables import counted, plain
from pipelines.targets.publication import Publication


def line_of(publication: Publication) -> str:
    """Return a line with markup: the target, and how many tables were written."""
    name = f"{plain(publication.target):<19}"
    if publication.problem:
        return f"{name}[red]failed[/red]"
    return (
        f"{name}{publication.rows:>10,} rows written, {counted(publication.written, 'table')}, "
        f"{publication.unchanged} unchanged   {publication.seconds:.1f} s"
    )
