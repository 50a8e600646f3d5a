"""`rivo sync`."""

from __future__ import annotations

import sys

import click

from cli.terminal.interrupts import Signalled
from pipelines.errors import RivoError


def _list_names(_context: click.Context, _option: click.Parameter, value: str | None) -> list[str]:
    from pipelines.rivo.endpoints import ENDPOINTS

    names = [name.strip() for name in (value or "").split(",") if name.strip()]
    unknown = [name for name in names if name not in ENDPOINTS]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: the lists are {', '.join(ENDPOINTS)}")
    return names


@click.command(
    epilog="""\b
Examples:
  rivo sync
  rivo sync --full                        read every list completely
  rivo sync --only customers,rewards      read two lists; build the models
  rivo sync --json > sync.json            write a JSON document; progress goes to standard error

\b
Ctrl-C is safe: nothing is published, and readers keep the previous data.
Fields of the JSON document and exit codes: docs/cli.md."""
)
@click.option("--full", is_flag=True, help="Read every list completely.")
@click.option(
    "--only", callback=_list_names, metavar="LISTS", help="Read only these lists: customers,rewards"
)
@click.option(
    "--allow-shrink",
    callback=_list_names,
    metavar="LISTS",
    help="Accept these lists although many of their rows, an attribute, or all known customers are gone.",
)
@click.option(
    "--rewind",
    is_flag=True,
    help="Recover from an earlier sync during which Rivo's clock was ahead: times in the future become now.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document to standard output.")
@click.pass_obj
def sync(
    signalled: Signalled, full: bool, only: list[str], allow_shrink: list[str], rewind: bool, as_json: bool
) -> None:
    """Run one sync and publish its result.

    A sync reads the lists, builds the models, runs the checks and publishes.

    With RIVO_API_KEY, load your shop into RIVO_WAREHOUSE. Without it, load a demo into data/demo.duckdb.
    """
    from pipelines.settings import Settings

    try:
        settings = Settings.load()
    except RivoError as error:
        if as_json:
            from cli.terminal.sync_report import failed_before

            click.echo(failed_before(str(error)))
        raise
    if settings.api_key is None:
        from runs.demo import start_demo_store

        # The store takes a second to start; importing Dagster below takes as long.
        start_demo_store()
    from cli.commands.run_job import run_sync

    sys.exit(
        run_sync(signalled, full=full, only=only, allow_shrink=allow_shrink, rewind=rewind, as_json=as_json)
    )
