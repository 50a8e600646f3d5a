"""The report page: one HTML file on a month of the loyalty programme, for people who do not write SQL."""

from __future__ import annotations

from datetime import date

import duckdb

from runs.report.figures import read_figures
from runs.report.page import page

__all__ = ["report"]


def report(
    connection: duckdb.DuckDBPyConnection,
    *,
    month: date | None = None,
    currency: str = "",
    is_demo: bool = False,
    last: str = "",
) -> str:
    """Return the report of a month as one HTML page: no script, no network, no data of single customers.

    Args:
        connection: a published warehouse.
        month: the first day of the month; by default the last complete one.
        currency: ISO 4217 code that amounts of money are shown with; empty for none.
        is_demo: whether the shop is simulated.
        last: the page written before, whose drawings are used again where nothing has changed.

    Raises:
        RivoError: the warehouse has no figures, none of that month, or other tables than this release builds.
    """
    return page(read_figures(connection, month), currency=currency, is_demo=is_demo, last=last)
