"""`rivo doctor`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import exits
from cli.terminal.printable import printable
from pipelines.errors import RivoError

if TYPE_CHECKING:
    from pipelines.rivo.report import Report


@click.command()
@click.option(
    "--report",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write a text for a bug report: versions, settings, and how the API answers, without data and secrets.",
)
def doctor(file: Path | None) -> None:
    """Check whether syncs will work with this account. Writes nothing but the report.

    Requests a few rows of each list. Reports the proxy and the certificates in use, whether the key is accepted,
    whether each list can be paged by since_id, and how long a first sync will take. Exits with 1 if there is a
    PROBLEM.
    """
    from pipelines.rivo.doctor import examine
    from pipelines.rivo.report import Report
    from pipelines.settings import Settings

    settings = Settings.load()
    report = Report(settings)
    if file:
        _write(file, report)
    failed = False
    try:
        for finding in examine(settings, report.listen if file else None):
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
    sys.exit(exits.FAILED if failed else exits.DONE)


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
