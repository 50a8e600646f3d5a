"""`rivo models export`: write the SQL models as a dbt project for another engine."""

from __future__ import annotations

from pathlib import Path

import click

from cli.shops import ShopChoice, shop_options
from dbt_like_sql.export.engines import ENGINES
from pipelines.errors import RivoError


@click.command(
    epilog="""\b
Examples:
  rivo models export --dialect postgres loyalty-dbt
  rivo models export --dialect snowflake ~/dbt/loyalty --shop de
  rivo models export --dialect postgres loyalty-dbt --overwrite"""
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--dialect",
    "-d",
    required=True,
    type=click.Choice(list(ENGINES), case_sensitive=False),
    help="Engine that will build the models.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace also the files that were changed by hand since the last export.",
)
@shop_options(every=False)
def export(folder: Path, dialect: str, overwrite: bool, choice: ShopChoice) -> None:
    """Write the models as a dbt project for another engine.

    FOLDER gets models, tests, seeds, descriptions and exposures, with rivo_raw and rivo_actions as sources, and a
    README that says how to run it. It must be new, empty, or written by an earlier export: then only files of that
    export are replaced, and none that you have changed.

    With --shop, the seeds are those of the shop. docs/engines.md says what each engine cannot do.
    """
    from cli.terminal.tables import short
    from dbt_like_sql.export import ExportError
    from dbt_like_sql.export import export as write
    from dbt_like_sql.runner import load_project

    shop = choice.one().shop
    try:
        exported = write(load_project(shop=shop), folder, dialect, shop=shop, overwrite=overwrite)
    except ExportError as error:
        raise RivoError(str(error)) from None
    written = exported.written
    changes = [f"{written.replaced} replaced"] if written.replaced else []
    changes += [f"{written.removed} removed"] if written.removed else []
    count = f"{written.files} files" + (f" ({', '.join(changes)})" if changes else "")
    title = ENGINES[dialect].title
    click.echo(
        f"Wrote {short(folder)} for {title}: {exported.models} models, {exported.tests} tests, {count}."
    )
    for path in written.overwritten:
        click.echo(f"Replaced {path}, which was changed by hand.")
    for name, reason in exported.left_out.items():
        click.echo(f"Not exported: {name} ({reason}).")
    click.echo(f"Read {short(folder / 'README.md')} to run it.")
