"""`rivo status`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cli.shops import ShopChoice, for_people, shop_options, worst
from pipelines.errors import RivoError

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from runs.status import Status


@click.command(
    epilog="""\b
Exit codes:
  0    the data is fresh, and the last sync succeeded
  1    the last sync failed
  3    there is no warehouse yet
  4    the last sync is older than the schedule allows, plus two hours"""
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document. Its fields: docs/cli.md.")
@shop_options()
def status(choice: ShopChoice, *, as_json: bool) -> None:
    """Show freshness, trust and problems of the warehouse.

    Also shows the last sync, quarantined rows, the next sync and the size. Only reads. With several shops, shows a line
    for each unless --shop names one.
    """
    shops = choice.all(usual=True)
    if len(shops) == 1:
        from cli.terminal.status import exit_code, show

        found = _look(shops[0])
        show(found, as_json=as_json)
        sys.exit(exit_code(found))
    from cli.terminal.status_of_shops import code_of, show_all

    found_in: dict[str, Status | RivoError] = {}
    for settings in shops:
        try:
            found_in[settings.shop] = _look(settings)
        except Exception as error:
            sentence = for_people(error, settings)
            if sentence is None:
                raise
            found_in[settings.shop] = sentence
    show_all(found_in, as_json=as_json)
    sys.exit(worst(map(code_of, found_in.values())))


def _look(settings: Settings) -> Status:
    from assets.schedule import SyncSchedule
    from runs.shop import shop_to_read
    from runs.status import look

    own = shop_to_read(settings).settings
    return look(own, SyncSchedule(own.sync_cron, own.timezone))
