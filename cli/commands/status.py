"""`rivo status`."""

from __future__ import annotations

import sys

import click


@click.command(
    epilog="""\b
Exit codes:
  0    the data is fresh, and the last sync succeeded
  1    the last sync failed
  3    there is no warehouse yet
  4    the last sync is older than the schedule allows, plus two hours"""
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document. Its fields: docs/cli.md.")
def status(as_json: bool) -> None:
    """Show freshness, trust and problems of the warehouse.

    Also shows the last sync, quarantined rows, the next sync and the size. Only reads.
    """
    from assets.schedule import SyncSchedule
    from cli.terminal.status import exit_code, show
    from pipelines.settings import Settings
    from runs.status import look

    settings = Settings.load()
    found = look(settings, SyncSchedule(settings.sync_cron, settings.timezone))
    show(found, as_json=as_json)
    sys.exit(exit_code(found))
