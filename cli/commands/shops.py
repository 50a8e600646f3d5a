"""`rivo shops`: list the shops of an install, and move a warehouse in or out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pipelines.errors import RivoError, command

if TYPE_CHECKING:
    from pipelines.settings import Settings


@click.group(
    epilog="""\b
Examples:
  rivo shops list
  rivo shops adopt de        data/rivo.duckdb becomes data/shops/de.duckdb
  rivo shops release de      and back"""
)
def shops() -> None:
    """List the shops of RIVO_SHOPS, and move a warehouse in or out.

    docs/shops.md describes an install with several shops.
    """


@shops.command("list")
def list_shops() -> None:
    """List the shops: file, size, time zone, schedule, and whether there is a key."""
    from cli.terminal.tables import print_result, short, terminal
    from pipelines.settings import Settings
    from runs.shop import shop_to_read

    settings = Settings.load()
    if not settings.shop_names:
        raise RivoError(f"RIVO_SHOPS is not set, so there is one shop, in {settings.warehouse}.")
    rows = []
    for name in settings.shop_names:
        shop = shop_to_read(settings.of_shop(name))
        own = shop.settings
        key = "demo" if shop.is_demo else "set" if own.api_key else "missing"
        size = f"{shop.warehouse.size_bytes / 1e6:.1f}" if shop.warehouse.exists else "none yet"
        rows.append((name, str(short(shop.warehouse)), size, key, own.timezone, own.sync_cron))
    print_result(terminal(), ["shop", "warehouse", "MB", "key", "time zone", "schedule"], rows)


@shops.command()
@click.argument("name")
def adopt(name: str) -> None:
    """Make the warehouse of an install with one shop that of the shop NAME.

    RIVO_WAREHOUSE and all that belongs to it (histories, outbox, journal of webhooks, an unpublished result, report
    page) is renamed. NAME must be in RIVO_SHOPS. Stop `rivo dev` and `rivo serve` before.
    """
    from pipelines.settings import Settings
    from pipelines.warehouse import Warehouse
    from pipelines.warehouse.moving import move

    settings = Settings.load()
    shop = Warehouse.of_setting(_of(settings, name).warehouse)
    moved = move(Warehouse.of_setting(settings.warehouse), shop)
    _say(moved, str(shop), f"The key of {name.lower()} is that of RIVO_API_KEY, if it has none of its own.")


@shops.command()
@click.argument("name")
def release(name: str) -> None:
    """Make the warehouse of the shop NAME that of an install with one shop: the opposite of adopt.

    Then remove RIVO_SHOPS, and give the shop's settings without its name, such as RIVO_API_KEY.
    """
    from pipelines.settings import Settings
    from pipelines.warehouse import Warehouse
    from pipelines.warehouse.moving import move

    settings = Settings.load()
    single = Warehouse.of_setting(settings.warehouse)
    moved = move(Warehouse.of_setting(_of(settings, name).warehouse), single)
    _say(
        moved,
        str(single),
        "Now remove RIVO_SHOPS, and write the shop's settings without its name: RIVO_API_KEY.",
    )
    united = Warehouse.of_setting(settings.united)
    if united.exists:
        click.echo(
            f"Without RIVO_SHOPS, {united} is not written again, also not by `{command()} forget`: delete it then."
        )


def _of(settings: Settings, name: str) -> Settings:
    name = name.strip().lower()
    if name not in settings.shop_names:
        known = f"It has {', '.join(settings.shop_names)}." if settings.shop_names else "It is not set."
        raise RivoError(
            f"RIVO_SHOPS has no shop {name}. {known} Add it there first, as in RIVO_SHOPS={name}."
        )
    return settings.of_shop(name)


def _say(moved: Sequence[str], to: str, then: str) -> None:
    click.echo(f"Moved to {to}: {', '.join(moved)}.")
    click.echo(f"{then} Check with `{command()} status`.")
