"""`rivo report`."""

from __future__ import annotations

import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.shops import ShopChoice, for_each, shop_options

if TYPE_CHECKING:
    from pipelines.settings import Settings

if TYPE_CHECKING:
    pass


class Month(click.ParamType):
    """A month, written YYYY-MM; its value is the month's first day."""

    name = "YYYY-MM"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return the first day of the month, or fail with a sentence."""
        try:
            return datetime.strptime(value, "%Y-%m").date()  # noqa: DTZ007 a month has no time zone
        except ValueError:
            self.fail(f"'{value}' is not a month. Write it as 2026-09.", param, ctx)


@click.command(
    epilog="""\b
Examples:
  rivo report --open
  rivo report --month 2026-09 --output september.html"""
)
@click.option(
    "--month", type=Month(), metavar="YYYY-MM", help="The month to report. Default: the last complete one."
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="File to write, or a folder. Default: beside the warehouse, such as data/rivo.report.html.",
)
@click.option("--open", "shows", is_flag=True, help="Open the page in the browser.")
@shop_options()
def report(month: date | None, output: Path | None, choice: ShopChoice, *, shows: bool) -> None:
    """Write the report page: one HTML file on a month of the programme, with charts and lists of what to do now.

    The page needs no server and no network, and holds totals only. Every sync writes it too, for the last complete
    month. Print it from the browser: it takes two A4 pages.
    """
    shops = choice.all()
    if len(shops) > 1 and output:
        raise click.UsageError("--output is for one shop at a time: add --shop NAME.")
    sys.exit(for_each(shops, lambda settings: _write(settings, month, output, shows=shows)))


def _write(settings: Settings, month: date | None, output: Path | None, *, shows: bool) -> None:
    import webbrowser

    from cli.terminal.html_files import html_file
    from cli.terminal.tables import short
    from runs.report.writing import write_report
    from runs.shop import shop_to_read

    name = f"report-{month:%Y-%m}.html" if month else "report.html"
    path = html_file(output, name) if output else None
    written = write_report(shop_to_read(settings), month=month, path=path)
    if written.is_file():
        click.echo(f"Wrote {short(written)}, {written.stat().st_size / 1000:,.0f} KB.")
    if shows and not webbrowser.open(written.resolve().as_uri()):
        click.echo("No browser could be started. Open the file in one.", err=True)
