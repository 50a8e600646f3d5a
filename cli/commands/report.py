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
  rivo report --month 2026-09 --output september.html
  rivo report --all-shops --open"""
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

    With --all-shops, also a page that compares the shops, such as data/all_shops.report.html: by default for the last
    complete month that every shop has.
    """
    shops = choice.all()
    if not choice.every or len(shops) == 1:
        sys.exit(for_each(shops, lambda settings: _write(settings, month, output, shows=shows)))
    if output:
        raise click.UsageError("--output is for one shop at a time: add --shop NAME.")
    code = for_each(shops, lambda settings: _write(settings, month, None, shows=False))
    click.secho("\nall shops", bold=True)
    _compare(month, shows=shows)
    sys.exit(code)


def _write(settings: Settings, month: date | None, output: Path | None, *, shows: bool) -> None:
    from cli.terminal.html_files import html_file
    from runs.report.writing import write_report
    from runs.shop import shop_to_read

    name = f"report-{month:%Y-%m}.html" if month else "report.html"
    path = html_file(output, name) if output else None
    written = write_report(shop_to_read(settings), month=month, path=path)
    _show(written, shows=shows)


def _compare(month: date | None, *, shows: bool) -> None:
    """Write the page that compares all shops."""
    from pipelines.settings import Settings
    from pipelines.warehouse import Warehouse
    from runs.all_shops import shops_to_read
    from runs.report.comparison import write_comparison

    settings = Settings.load()
    written, missing = write_comparison(
        shops_to_read(settings), Warehouse.of_setting(settings.united), month=month
    )
    if missing:
        click.echo(f"Without figures: {', '.join(missing)}.", err=True)
    _show(written, shows=shows)


def _show(written: Path, *, shows: bool) -> None:
    import webbrowser

    from cli.terminal.tables import short

    if written.is_file():
        click.echo(f"Wrote {short(written)}, {written.stat().st_size / 1000:,.0f} KB.")
    if shows and not webbrowser.open(written.resolve().as_uri()):
        click.echo("No browser could be started. Open the file in one.", err=True)
