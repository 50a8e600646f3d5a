"""`rivo backup` and `rivo restore`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import exits
from cli.shops import ShopChoice, for_each, shop_options
from cli.terminal.interrupts import Signalled

if TYPE_CHECKING:
    from pipelines.settings import Settings


@click.command(
    epilog="""\b
Examples:
  rivo backup /backup/rivo-2026-10-05
  rivo restore /backup/rivo-2026-10-05"""
)
@click.argument("folder", type=click.Path(path_type=Path))
@shop_options()
def backup(folder: Path, choice: ShopChoice) -> None:
    """Save the tables of rivo_raw as Parquet files in a new FOLDER.

    They hold what cannot be read from Rivo again: histories, first-seen times, deleted rows and the sync log. The
    outbox of actions is saved with them. A backup and a sync can run at the same time; neither waits for the other.
    With --all-shops, each shop has a folder of its name in FOLDER.
    """
    folder = folder.expanduser().absolute()
    sys.exit(
        for_each(
            choice.all(), lambda settings: _save(settings, folder / settings.shop if choice.every else folder)
        )
    )


def _save(settings: Settings, folder: Path) -> None:
    from cli.terminal.tables import short
    from pipelines.errors import command
    from pipelines.warehouse.backup import backup as make
    from runs.shop import shop_to_read

    shop = shop_to_read(settings)
    made = make(shop.warehouse, shop.source, folder)
    of_shop = f"--shop {shop.name} " if shop.name else ""
    click.echo(
        f"{short(made.folder)}: {len(made.tables)} tables, {made.rows:,} rows, "
        f"as of {(made.observed_at or 'before any sync')[:16].replace('T', ' ')} UTC.\n"
        "It contains personal data to the extent that RIVO_PII keeps it. "
        f"To restore it: {command()} restore {of_shop}{shlex.quote(str(short(made.folder)))}"
    )


@click.command(
    epilog="""\b
Examples:
  rivo restore /backup/rivo-2026-10-05
  rivo restore --replace /backup/rivo-2026-10-05     overwrite the existing warehouse"""
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Replace a warehouse that already contains data.")
@shop_options(every=False)
@click.pass_obj
def restore(signalled: Signalled, folder: Path, replace: bool, choice: ShopChoice) -> None:
    """Rebuild the warehouse from a backup.

    Loads the raw tables, builds the models, runs the checks and publishes. Sends no request to Rivo: the next
    `rivo sync` reads what has changed since the backup.
    """
    from cli.commands.rebuild import rebuild
    from dbt_like_sql.runner import load_project
    from pipelines.actions.erasing import erase_again_from_outbox
    from pipelines.errors import command
    from pipelines.privacy.erasure import erase_again, erased_identifiers
    from pipelines.privacy.redaction import Redactor, apply_setting
    from pipelines.warehouse import Build
    from pipelines.warehouse.action_tables import load_outbox
    from pipelines.warehouse.backup import load_backup, read_backup, refuse_to_replace, restore_outbox
    from runs.run import Plan
    from runs.shop import shop_of_backup

    settings = choice.one()
    made = read_backup(folder.expanduser().absolute())
    shop = shop_of_backup(made, settings)
    if made.shop != shop.source:
        url = settings.variable("api_url")
        click.echo(f"Note       The backup is from {made.shop}, but {url} is {shop.source}.", err=True)
    project = load_project(shop=settings.shop)
    notes: list[str] = []

    def load(work: Build) -> None:
        if not replace:
            refuse_to_replace(shop.warehouse)
        erased = erased_identifiers(shop.warehouse)
        notes.extend(load_backup(work, made))
        note = apply_setting(work, settings)
        notes.extend([note] if note else [])
        erase_again(work, settings, erased)
        outbox = shop.warehouse.outbox
        if restore_outbox(made, shop.warehouse):
            erase_again_from_outbox(outbox, Redactor(work.connection, settings))
        load_outbox(work.connection, outbox)

    plan = Plan(lists=None, models=list(project.nodes), publish=True, prepare=load, is_fresh=True)
    finished = rebuild(plan, project, shop, signalled, work="restore")
    for note in notes:
        click.echo(f"Note       {note}")
    if finished is None or not finished.published:
        sys.exit(exits.FAILED)
    click.echo(
        f"\nRestored {made.rows:,} rows from {made.folder}. "
        f"Next: run `{command()} sync` to read what has changed since the backup."
    )
