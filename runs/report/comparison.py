"""The page that compares the shops of an install for a month: a row for each, with the figures that matter most."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import duckdb

from pipelines.errors import NoWarehouse, RivoError, command
from pipelines.output_files import write_whole
from pipelines.warehouse import Warehouse
from runs.pictures import rows
from runs.report.figures import Figures, read_figures
from runs.report.page import Shown, local_time, render, trust
from runs.report.tiles import Tile, compared, compared_titles
from runs.shop import Shop

_HERE = Path(__file__).parent
_MONTHS = "select month, is_complete from reports.rpt_program_monthly order by month"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Comparison:
    """The figures of a month of several shops."""

    month: date
    shops: Mapping[str, Shop]
    found: Mapping[str, Figures | RivoError]
    """By shop, its figures, or why there are none."""


@dataclass(frozen=True)
class _Cell:
    """A figure of a shop in the table."""

    tile: Tile
    title: str
    bar: float | None
    """Its size from 0 to 100, compared with the largest of the column; None if it cannot be compared."""


def compare(shops: Sequence[Shop], month: date | None = None) -> Comparison:
    """Read the figures of a month of each shop; by default of the last complete month that every shop has.

    A shop that has no complete month yet, or whose figures cannot be read, does not count for that.

    Raises:
        NoWarehouse: no shop has been published.
        RivoError: no shop has figures of the month.
    """
    months = {shop.name: _read(shop, _months) for shop in shops}
    known = {name: found for name, found in months.items() if not isinstance(found, RivoError)}
    if not known:
        raise next(error for error in months.values() if isinstance(error, RivoError))
    chosen = month or _last_common(list(known.values()))
    if not any(chosen in found for found in known.values()):
        raise RivoError(f"No shop has figures of {chosen:%Y-%m}.")
    found: dict[str, Figures | RivoError] = {}
    for shop in shops:
        of_shop = months[shop.name]
        if isinstance(of_shop, RivoError):
            found[shop.name] = of_shop
        elif chosen not in of_shop:
            found[shop.name] = NoFigures(f"It has no figures of {chosen:%Y-%m}.")
        else:
            found[shop.name] = _read(shop, lambda connection: read_figures(connection, chosen))
    return Comparison(chosen, {shop.name: shop for shop in shops}, found)


class NoFigures(RivoError):
    """A shop has no figures of the month."""


def write_comparison(
    shops: Sequence[Shop], united: Warehouse, *, month: date | None = None, path: Path | None = None
) -> tuple[Path, list[str]]:
    """Write the page that compares shops, by default for the last complete month that every shop has.

    Args:
        shops: the shops, in the order of the page.
        united: the warehouse that unites them, which need not exist: the page is written beside it.
        month: the first day of the month.
        path: another file to write.

    Returns:
        the file, and the shops without figures.

    Raises:
        RivoError: no shop has figures of the month, or the file cannot be written.
    """
    found = compare(shops, month)
    name = f"{month:%Y-%m}" if month else ""
    folder = (path or united.report_file()).absolute().parent
    pages = {shop.name: shop.warehouse.report_file(name) for shop in shops}
    links = {shop: quote(os.path.relpath(page, folder)) for shop, page in pages.items() if page.is_file()}
    html = comparison_page(found, links).encode()
    missing = [shop for shop, error in found.found.items() if isinstance(error, RivoError)]
    if path is None:
        readers_of = [shop.warehouse for shop in shops if shop.warehouse.exists]
        return united.write_report(html, name, readers_of=readers_of), missing
    write_whole(path, html)
    return path, missing


def comparison_page(compared_shops: Comparison, links: Mapping[str, str]) -> str:
    """Return the page as HTML.

    Args:
        compared_shops: what `compare` returns.
        links: by shop, the address of its own report page; shops without one are left out.
    """
    found = {name: each for name, each in compared_shops.found.items() if isinstance(each, Figures)}
    return render(
        "comparison.html.j2",
        (_HERE / "comparison.css").read_text(encoding="utf-8"),
        month=compared_shops.month,
        is_complete=all(each.is_complete for each in found.values()),
        titles=compared_titles(),
        shops=compared_shops.shops,
        found=found,
        cells=_cells(found, compared_shops.shops),
        problems={
            name: _problem(each, compared_shops.month)
            for name, each in compared_shops.found.items()
            if isinstance(each, RivoError)
        },
        links=links,
        show={name: Shown(shop.currency) for name, shop in compared_shops.shops.items()},
        local={name: local_time(each.observed_at, each.timezone) for name, each in found.items()},
        trust={name: trust(each.checks) for name, each in found.items()},
    )


def _read(shop: Shop, read: Callable[[duckdb.DuckDBPyConnection], _T]) -> _T | RivoError:
    """Return what is read from a shop's warehouse, or why it cannot be read: one shop does not stop the others."""
    try:
        with shop.warehouse.read() as connection:
            return read(connection)
    except RivoError as error:
        return error
    except duckdb.Error as error:
        return shop.warehouse.damage(error) or RivoError(
            f"Its figures cannot be read ({str(error).partition(chr(10))[0]}). Run "
            f"`{command()} models build --all --shop {shop.name}`, then this command again."
        )


def _months(connection: duckdb.DuckDBPyConnection) -> dict[date, bool]:
    """Return the months that a shop has, and whether each is complete."""
    return {row["month"]: row["is_complete"] for row in rows(connection, _MONTHS)}


def _last_common(shops: Sequence[Mapping[date, bool]]) -> date:
    """Return the last complete month that every shop with complete months has; without any, the last month of all."""
    complete = [{month for month, is_complete in months.items() if is_complete} for months in shops]
    complete = [months for months in complete if months]
    common = set.intersection(*complete) if complete else set()
    candidates = common or set.union(set(), *complete) or {month for months in shops for month in months}
    return max(candidates, default=date.min)


def _cells(found: Mapping[str, Figures], shops: Mapping[str, Shop]) -> dict[str, list[_Cell]]:
    tiles = {name: compared(each) for name, each in found.items()}
    cells: dict[str, list[_Cell]] = {name: [] for name in tiles}
    # Amounts in two currencies, or in ones that are not known, say nothing about each other.
    currencies = {shops[name].currency for name in tiles}
    is_one_currency = len(currencies) == 1 and "" not in currencies
    for position, title in enumerate(compared_titles()):
        column = {name: row[position] for name, row in tiles.items()}
        largest = max((tile.value for tile in column.values() if tile.value is not None), default=0)
        for name, tile in column.items():
            has_bar = tile.value is not None and largest > 0 and (tile.kind != "money" or is_one_currency)
            bar = float(max(0, 100 * tile.value / largest)) if has_bar else None
            cells[name].append(_Cell(tile, title, bar))
    return cells


def _problem(error: RivoError, month: date) -> str:
    """Return a sentence for readers of the page, who need not know the folders of this machine."""
    if isinstance(error, NoWarehouse):
        return "There is no warehouse yet."
    if isinstance(error, NoFigures):
        return f"There are no figures of {month:%B %Y}."
    return "The figures could not be read when this page was written."
