"""`rivo publish`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cli import exits
from cli.shops import ShopChoice, for_each, shop_options

if TYPE_CHECKING:
    from pipelines.settings import Settings


@click.command(
    epilog="""\b
Examples:
  rivo publish                publish to every target of RIVO_PUBLISH
  rivo publish lake           publish to RIVO_TARGET_LAKE
  rivo publish lake --purge   and delete older versions of the data there
  rivo publish old --gone     the copy in a target that is not set any more was deleted

\b
Every sync publishes to the targets of RIVO_PUBLISH. The kinds of targets: docs/targets.md."""
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option(
    "--replace", is_flag=True, help="Replace a target that has newer data, or that of another warehouse."
)
@click.option("--purge", is_flag=True, help="Delete older versions of the data, which the target keeps.")
@click.option(
    "--gone",
    is_flag=True,
    help="Publish nothing: you have deleted the copy in a target that is not set any more.",
)
@shop_options()
def publish(targets: tuple[str, ...], replace: bool, purge: bool, gone: bool, choice: ShopChoice) -> None:
    """Publish the warehouse to targets: databases, lakes and folders that other programs read.

    Sends no request to Rivo. Tables that have not changed are not written again. Each target is published to by itself:
    one that fails keeps what it has.
    """
    if replace and not targets:
        raise click.UsageError(
            "--replace overwrites what a target has, so name the target: rivo publish NAME --replace."
        )
    if gone and (replace or purge or len(targets) != 1):
        raise click.UsageError("--gone is for one target, and publishes nothing: rivo publish NAME --gone.")
    names = tuple(name.strip().lower() for name in targets)

    shops = choice.all()

    def of_shop(settings: Settings) -> int:
        if gone:
            return _forget(settings, names[0])
        if len(shops) > 1 and not names and not settings.to_publish:
            click.echo(f"{settings.variable('publish')} is not set, so there is no target to publish to.")
            return exits.DONE
        return _publish(settings, names, replace=replace, purge=purge)

    sys.exit(for_each(shops, of_shop))


def _forget(settings: Settings, name: str) -> int:
    from pipelines.errors import SettingsError
    from runs.publishing import forget_target
    from runs.shop import shop_to_read

    if name in settings.targets:
        raise SettingsError(
            f"{settings.targets[name].variable} is still set. Remove it first, then run this again."
        )
    if forget_target(shop_to_read(settings), name):
        click.echo(f"No command asks for the target {name} any more.")
        return exits.DONE
    click.echo(f"No copy in a target {name} is known.")
    return exits.FAILED


def _publish(settings: Settings, names: tuple[str, ...], *, replace: bool, purge: bool) -> int:
    from cli.terminal.publications import line_of
    from cli.terminal.tables import plain, terminal
    from dbt_like_sql.runner import load_project
    from pipelines.errors import SettingsError
    from runs.publishing import publish_to, pull_newest
    from runs.shop import shop_to_read

    unknown = [name for name in names if name not in settings.targets]
    if unknown:
        known = f"has {', '.join(sorted(settings.targets))}" if settings.targets else "is not set for any"
        raise SettingsError(
            f"There is no target {', '.join(unknown)}: RIVO_TARGET_<NAME> {known}. .env.example shows how to set one."
        )
    chosen = [settings.targets[name] for name in names] or list(settings.to_publish)
    if not chosen:
        raise SettingsError(
            f"{settings.variable('publish')} is not set, so there is no target to publish to. Set RIVO_TARGET_<NAME> "
            "to a URL and RIVO_PUBLISH to its name, or name a target. .env.example shows how."
        )
    shop = shop_to_read(settings)
    pull_newest(shop)
    console = terminal()
    console.soft_wrap = True
    failed = False
    for publication in publish_to(
        shop, load_project(shop=settings.shop), chosen, replace_all=replace, purge=purge
    ):
        console.print(line_of(publication), highlight=False)
        for note in publication.notes:
            console.print(f"[yellow]Note[/yellow]       {plain(note)}", highlight=False)
        if publication.problem:
            failed = True
            console.print(f"[red]Problem[/red]    {plain(publication.problem)}", highlight=False)
    return exits.FAILED if failed else exits.DONE
