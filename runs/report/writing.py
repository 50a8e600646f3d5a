"""Writes the report page of a shop: beside its warehouse after every sync, or where a person wants it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from dbt_like_sql.runner.masking import masked
from pipelines.errors import RivoError, command
from pipelines.output_files import write_whole
from runs.report import report
from runs.shop import Shop


def write_report(shop: Shop, *, month: date | None = None, path: Path | None = None) -> Path:
    """Write the report of a month, by default the last complete one, and return the file.

    Beside the warehouse, readers of the page are those who may read the warehouse.

    Raises:
        RivoError: there is no warehouse, it has no figures of that month, or the file cannot be written.
    """
    with shop.warehouse.read() as connection:
        html = report(
            connection,
            month=month,
            currency=shop.currency,
            is_demo=shop.is_demo,
            last=shop.warehouse.last_report(),
        )
    if path is None:
        return shop.warehouse.write_report(html.encode(), f"{month:%Y-%m}" if month else "")
    write_whole(path, html.encode())
    return path


def write_after_run(shop: Shop) -> tuple[Path | None, tuple[str, ...]]:
    """Write the report beside a warehouse that has just been published.

    Returns:
        the file, or sentences on what went wrong.

    The warehouse is published already, so nothing about the page may end the run with an error.
    """
    try:
        return write_report(shop), ()
    except RivoError as error:
        reason = str(error)
    except Exception as error:
        # A model that was changed in this project may lack a column of the page.
        reason = f"{type(error).__name__}: {masked(str(error).partition(chr(10))[0], '')}"
    return None, (
        f"The warehouse was published, but its report page could not be written: {reason.rstrip('.')}. "
        f"Run `{command()} report` to try again; RIVO_REPORT=no does without the page.",
    )
