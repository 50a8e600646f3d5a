"""`rivo query`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import duckdb

FORMATS = ("table", "csv", "json", "markdown", "parquet")
TABLE_ROWS = 200


@click.command(
    epilog="""\b
Examples:
  rivo query "select * from reports.rpt_data_trust"
  rivo query "show all tables"
  rivo query --format csv "from marts.dim_member" > members.csv
  rivo query --format parquet --output ledger.parquet "from marts.fct_points_ledger"
  rivo query - < question.sql

\b
The dialect is DuckDB's. A query can only read, and only from the warehouse: no other file, no network."""
)
@click.argument("sql")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help=f"Output format. A table shows the first {TABLE_ROWS} rows; the other formats contain all rows.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of standard output.",
)
def query(sql: str, form: str, output: Path | None) -> None:
    """Run one SQL statement on the published warehouse, read-only.

    If SQL is '-', the statement is read from standard input.
    """
    if output and form == "table":
        raise click.UsageError("--output needs a file format: add --format csv, json, markdown or parquet.")
    if form == "parquet" and not output and sys.stdout.isatty():
        raise click.UsageError(
            "Parquet is a binary format and cannot be shown in a terminal. Name a file with --output, or use a pipe."
        )
    import duckdb

    from cli.terminal import query_formats
    from cli.terminal.query_errors import sentence
    from cli.terminal.tables import counted, short
    from pipelines.settings import Settings
    from runs.shop import shop_to_read

    warehouse = shop_to_read(Settings.load()).warehouse
    text = sys.stdin.read() if sql == "-" else sql
    with (
        query_formats.spill_folder() as spill,
        warehouse.read(spill) as connection,
    ):
        try:
            relation = query_formats.select(connection, text)
            if form == "table":
                _print_table(relation)
                return
            with query_formats.output(output) as sink:
                count = query_formats.write(relation, form, sink)
        except duckdb.Error as error:
            raise warehouse.damage(error) or sentence(connection, error) from None
    if output:
        click.echo(f"Wrote {counted(count, 'row')} to {short(output)}.", err=True)


def _print_table(relation: duckdb.DuckDBPyRelation) -> None:
    from cli.terminal.tables import counted, print_result, terminal

    # One row more than is shown, to know whether there are more.
    rows = relation.fetchmany(TABLE_ROWS + 1)
    console = terminal()
    shown = print_result(console, relation.columns, rows[:TABLE_ROWS])
    is_cut = shown < len(rows)
    text = f"first {counted(shown, 'row')} (--format csv shows all)" if is_cut else counted(shown, "row")
    console.print(text, style="dim", highlight=False)
