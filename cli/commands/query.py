"""`rivo query`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.shops import ShopChoice, shop_options

if TYPE_CHECKING:
    from pipelines.warehouse import AllShops, Warehouse

FORMATS = ("table", "csv", "json", "markdown", "parquet")


@click.command(
    epilog="""\b
Examples:
  rivo query                                   a prompt with history and completion
  rivo query "show tables"
  rivo query "select * from reports.rpt_data_trust"
  rivo query --format csv "from marts.dim_member" > members.csv
  rivo query --format parquet --output ledger.parquet "from marts.fct_points_ledger"
  rivo query - < question.sql
  rivo query --all-shops "select shop, count(*) from marts.dim_member group by shop"

\b
The dialect is DuckDB's. A query can only read, and only from the warehouse: no other file, no network."""
)
@click.argument("sql", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="Output format. A table shows the first 200 rows; the other formats contain all rows.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of standard output.",
)
@shop_options()
def query(sql: str | None, form: str, output: Path | None, choice: ShopChoice) -> None:
    """Run one SQL statement on the published warehouse, read-only.

    Without SQL, on a terminal, open a prompt. If SQL is '-', the statement is read from standard input.

    With --all-shops, each table of marts and reports has the rows of all shops, and a first column `shop`. Tables of
    other schemas are read with the shop's name, such as de.staging.stg_rivo__customers.
    """
    if output and form == "table":
        raise click.UsageError("--output needs a file format: add --format csv, json, markdown or parquet.")
    if form == "parquet" and not output and sys.stdout.isatty():
        raise click.UsageError(
            "Parquet is a binary format and cannot be shown in a terminal. Name a file with --output, or use a pipe."
        )
    if sql is None:
        _refuse_prompt(form)
    warehouse, is_demo = _warehouse(choice)
    if sql is None:
        _prompt(warehouse, is_demo)
    else:
        _run(warehouse, sys.stdin.read() if sql == "-" else sql, form, output)


def _warehouse(choice: ShopChoice) -> tuple[Warehouse | AllShops, bool]:
    """Return what is queried, and whether its data are simulated."""
    from runs.shop import shop_to_read

    if not choice.every:
        shop = shop_to_read(choice.one())
        return shop.warehouse, shop.is_demo
    from cli.terminal.all_shops import note_left_out
    from pipelines.settings import Settings
    from runs.all_shops import shops_to_read, united

    shops = shops_to_read(Settings.load())
    union = united(shops)
    if union.published:
        note_left_out(union)
    return union, all(shop.is_demo for shop in shops)


def _refuse_prompt(form: str) -> None:
    """Raise a usage error if there can be no prompt, and so the SQL is missing."""
    if form != "table":
        raise click.UsageError(
            f'--format needs SQL: rivo query --format {form} "from reports.rpt_data_trust"'
        )
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError(
            "There is no SQL, and a prompt needs a terminal. Pass the statement as an argument, as in "
            '`rivo query "from reports.rpt_data_trust"`, or with `rivo query -` on standard input.'
        )


def _prompt(warehouse: Warehouse | AllShops, is_demo: bool) -> None:
    from cli.terminal.prompt import Prompt
    from cli.terminal.query_session import query_session

    with query_session(warehouse) as session:
        Prompt(session, is_demo=is_demo).run()


def _run(warehouse: Warehouse | AllShops, sql: str, form: str, output: Path | None) -> None:
    from cli.terminal import query_formats
    from cli.terminal.query_session import query_session
    from cli.terminal.tables import counted, short

    with query_session(warehouse) as session:
        if form == "table":
            session.show(sql)
            return
        with session.explained():
            relation = query_formats.select(session.connection, sql)
            with query_formats.output(output) as sink:
                count = query_formats.write(relation, form, sink)
    if output:
        click.echo(f"Wrote {counted(count, 'row')} to {short(output)}.", err=True)
