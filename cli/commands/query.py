"""`rivo query`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runs.shop import Shop

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
def query(sql: str | None, form: str, output: Path | None) -> None:
    """Run one SQL statement on the published warehouse, read-only.

    Without SQL, on a terminal, open a prompt. If SQL is '-', the statement is read from standard input.
    """
    if output and form == "table":
        raise click.UsageError("--output needs a file format: add --format csv, json, markdown or parquet.")
    if form == "parquet" and not output and sys.stdout.isatty():
        raise click.UsageError(
            "Parquet is a binary format and cannot be shown in a terminal. Name a file with --output, or use a pipe."
        )
    if sql is None:
        _refuse_prompt(form)
    from pipelines.settings import Settings
    from runs.shop import shop_to_read

    shop = shop_to_read(Settings.load())
    if sql is None:
        _prompt(shop)
    else:
        _run(shop, sys.stdin.read() if sql == "-" else sql, form, output)


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


def _prompt(shop: Shop) -> None:
    from cli.terminal.prompt import Prompt
    from cli.terminal.query_session import query_session

    with query_session(shop.warehouse) as session:
        Prompt(session, is_demo=shop.is_demo).run()


def _run(shop: Shop, sql: str, form: str, output: Path | None) -> None:
    from cli.terminal import query_formats
    from cli.terminal.query_session import query_session
    from cli.terminal.tables import counted, short

    with query_session(shop.warehouse) as session:
        if form == "table":
            session.show(sql)
            return
        with session.explained():
            relation = query_formats.select(session.connection, sql)
            with query_formats.output(output) as sink:
                count = query_formats.write(relation, form, sink)
    if output:
        click.echo(f"Wrote {counted(count, 'row')} to {short(output)}.", err=True)
