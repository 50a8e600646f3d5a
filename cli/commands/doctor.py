"""`rivo doctor`."""

from __future__ import annotations

import sys

import click

from cli import exits


@click.command()
def doctor() -> None:
    """Check whether syncs will work with this account. Writes nothing.

    Requests a few rows of each list. Reports whether the key is accepted, whether the list can be read from where
    the last sync ended, and how long a first sync will take. Exits with 1 if a list cannot be read.
    """
    from pipelines.rivo.doctor import examine
    from pipelines.settings import Settings

    failed = False
    for finding in examine(Settings.load()):
        failed = failed or not finding.good
        click.echo(f"{'ok     ' if finding.good else 'PROBLEM'}  {finding.text}")
    sys.exit(exits.FAILED if failed else exits.DONE)
