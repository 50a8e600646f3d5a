"""`rivo doctor`."""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import exits
from cli.shops import ShopChoice, for_each, shop_options
from cli.terminal.printable import printable
from pipelines.errors import RivoError

if TYPE_CHECKING:
    from pipelines.rivo.report import Report
    from pipelines.settings import Settings


@click.command()
@click.option(
    "--report",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write a text for a bug report: versions, settings, and how the API answers, without data and secrets.",
)
@shop_options()
def doctor(file: Path | None, choice: ShopChoice) -> None:
    """Check whether syncs will work with this account. Writes nothing but the report.

    Requests a few rows of each list. Reports the proxy and the certificates in use, whether the key is accepted,
    whether each list can be paged by since_id, how long a first sync will take, and whether the targets of
    RIVO_PUBLISH can be published to. Exits with 1 if there is a PROBLEM. With several shops, checks all of them
    unless --shop names one.
    """
    shops = choice.all(usual=True)
    if file and len(shops) > 1:
        raise click.UsageError("--report is for one shop at a time: add --shop NAME.")
    sys.exit(for_each(shops, lambda settings: _examine(settings, file)))


def _examine(settings: Settings, file: Path | None) -> int:
    from pipelines.rivo.doctor import examine
    from pipelines.rivo.report import Report
    from runs.publishing import check_targets
    from runs.shared_state import check_state
    from runs.shop import shop_to_sync

    shop = shop_to_sync(settings)
    if settings.shop:
        settings = shop.settings
    report = Report(settings)
    if file:
        _write(file, report)
    failed = False
    try:
        found = examine(settings, report.listen if file else None)
        for finding in chain(check_state(shop.warehouse), found, check_targets(shop)):
            report.add(finding)
            failed = failed or not finding.good
            click.echo(f"{finding.label:<7}  {printable(finding.text)}")
    except RivoError as error:
        report.fail(error)
        raise
    finally:
        if file:
            _write(file, report)
            click.echo(f"The report is in {file}. Read it before you attach it to a bug report.", err=True)
    return exits.FAILED if failed else exits.DONE


def _write(file: Path, report: Report) -> None:
    """Write the report over an older one.

    Raises:
        RivoError: the file cannot be written, or is something else.
    """
    from pipelines.rivo.report import FIRST_LINE

    try:
        if file.exists() and not file.read_bytes().startswith(FIRST_LINE.encode()):
            raise RivoError(f"{file} exists and is not a report of `rivo doctor`. Choose another name.")
        file.write_text(report.text(), encoding="utf-8")
    except OSError as error:
        raise RivoError(f"The report cannot be written to {file} ({error.strerror}).") from None
