"""`rivo backup` and `rivo restore`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cli import exits
from cli.terminal.interrupts import Signalled
from pipelines.settings import Settings

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command(
    epilog="""\b
Examples:
  rivo backup /backup/rivo-2026-10-05
  rivo restore /backup/rivo-2026-10-05"""
)
@click.argument("folder", type=click.Path(path_type=Path))
def backup(folder: Path) -> None:
    """Write what cannot be read from Rivo again into a new FOLDER: rivo_raw, as Parquet.

    Histories, first-seen times, deleted rows, the log of syncs. No sync waits for it, and it waits for none.
    """
    from cli.terminal.tables import short
    from pipelines.warehouse.backup import backup as make
    from runs.shop import shop_to_read

    shop = shop_to_read(Settings.load())
    made = make(shop.warehouse, shop.source, folder.expanduser().absolute())
    click.echo(
        f"{short(made.folder)}: {len(made.tables)} tables, {made.rows:,} rows, "
        f"as of {(made.observed_at or 'before any sync')[:16].replace('T', ' ')} UTC.\n"
        f"It holds personal data as RIVO_PII left it. Back: rivo restore {short(made.folder)}"
    )


@click.command(
    epilog="""\b
Examples:
  rivo restore /backup/rivo-2026-10-05
  rivo restore --replace /backup/rivo-2026-10-05     although there is a warehouse: it is lost"""
)
@click.argument("folder", type=_FOLDER)
@click.option("--replace", is_flag=True, help="Replace a warehouse that holds something.")
@click.pass_obj
def restore(signalled: Signalled, folder: Path, replace: bool) -> None:
    """Make the warehouse from a backup: tables, models, checks, and publish. Asks Rivo nothing.

    The next `rivo sync` reads what has happened since.
    """
    from cli.terminal.console import Terminal
    from cli.terminal.pipes import DeafConsole
    from dbt_like_sql.runner import load_project
    from pipelines.errors import command
    from pipelines.privacy.erasure import erase_again, erased_identifiers
    from pipelines.privacy.redaction import apply_setting
    from pipelines.warehouse import Build
    from pipelines.warehouse.backup import load_backup, read_backup, refuse_to_replace
    from runs.run import Finished, Plan, run
    from runs.shop import shop_of_backup

    settings = Settings.load()
    made = read_backup(folder.expanduser().absolute())
    where = shop_of_backup(made, settings)
    if made.shop != where.source:
        click.echo(f"Note       The backup is of {made.shop}, RIVO_API_URL is {where.source}.", err=True)
    project = load_project()
    said: list[str] = []

    def prepare(work: Build) -> None:
        if not replace:
            refuse_to_replace(where.warehouse)
        known = erased_identifiers(where.warehouse)
        said.extend(load_backup(work, made))
        sentence = apply_setting(work, settings)
        said.extend([sentence] if sentence else [])
        erase_again(work, settings, known)

    plan = Plan(lists=None, models=list(project.nodes), publish=True, prepare=prepare, is_fresh=True)
    terminal = Terminal(DeafConsole(), "restore", signalled)
    event = None
    with terminal:
        for event in run(plan, settings, project, where):
            terminal.event(event)
    terminal.summary()
    for sentence in said:
        click.echo(f"Note       {sentence}")
    done = isinstance(event, Finished) and event.published
    if done:
        click.echo(
            f"\nRestored from {made.folder}, {made.rows:,} rows. Next: {command()} sync reads what happened since then."
        )
    sys.exit(exits.DONE if done else exits.FAILED)
