"""`rivo sync`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cli.shops import ShopChoice, shop_options
from cli.terminal.interrupts import Signalled
from pipelines.errors import RivoError

if TYPE_CHECKING:
    from pipelines.settings import Settings


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
@shop_options()
@click.pass_obj
def sync(
    signalled: Signalled,
    full: bool,
    only: list[str],
    allow_shrink: list[str],
    rewind: bool,
    as_json: bool,
    choice: ShopChoice,
) -> None:
    """Run one sync and publish its result.

    A sync reads the lists, builds the models, runs the checks and publishes.

    With RIVO_API_KEY, load your shop into RIVO_WAREHOUSE. Without it, load a demo into data/demo.duckdb.

    With several shops (RIVO_SHOPS), sync all of them, several at once, unless --shop names one.
    """
    from cli.commands.sync_choices import SyncChoices

    try:
        shops = choice.all(usual=True)
    except RivoError as error:
        if as_json:
            from cli.terminal.sync_report import as_text, failed_before

            click.echo(as_text(failed_before(str(error))), nl=False)
        raise
    if (allow_shrink or rewind) and len(shops) > 1 and not choice.every:
        raise click.UsageError(
            f"{'--allow-shrink' if allow_shrink else '--rewind'} turns a guard off, so it is for the shop that needs "
            "it: add --shop NAME, or --all-shops if all do."
        )
    choices = SyncChoices(full, only, allow_shrink, rewind)
    if len(shops) > 1:
        from cli.commands.sync_shops import sync_shops

        sys.exit(sync_shops([settings.shop for settings in shops], choices, signalled, as_json=as_json))
    _start_demo(shops[0])
    from cli.commands.run_job import run_sync

    sys.exit(run_sync(signalled, choices, shop=shops[0].shop, as_json=as_json))


def _start_demo(settings: Settings) -> None:
    """Start the demo store, if this is a demo: it takes a second, and importing Dagster takes as long."""
    if settings.is_demo:
        from runs.demo import start_demo_store

        start_demo_store(settings.shop)
