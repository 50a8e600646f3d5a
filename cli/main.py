"""`rivo`: sync, models, query, doctor, sandbox, dev. Exit codes: 0 done, 1 something failed, 2 wrong usage."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from cli.models import models
from pipelines.errors import RivoError
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import PROJECT, Settings

_TABLE_ROWS = 200


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Rivo's loyalty data in a DuckDB warehouse: daily syncs, history, SQL models."""


cli.add_command(models)


def main() -> None:
    """Entry point of the `rivo` command: errors meant for people are printed as such."""
    try:
        cli.main(standalone_mode=False)
    except RivoError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except click.exceptions.Abort:
        click.echo("Stopped. Nothing was changed.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        # Imported only here, since it takes half a second.
        from dbt_like_sql import ProjectError

        if not isinstance(error, ProjectError):
            raise
        click.echo(f"Error in the SQL models: {error}", err=True)
        sys.exit(1)


def _list_names(_context: click.Context, _option: click.Parameter, value: str | None) -> list[str]:
    names = [name.strip() for name in (value or "").split(",") if name.strip()]
    unknown = [name for name in names if name not in ENDPOINTS]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: the lists are {', '.join(ENDPOINTS)}")
    return names


@cli.command()
@click.option("--full", is_flag=True, help="Read every list completely, whatever is known of it.")
@click.option("--only", callback=_list_names, metavar="LISTS", help="Only these lists: customers,rewards")
@click.option(
    "--allow-shrink",
    callback=_list_names,
    metavar="LISTS",
    help="Accept these lists even if they lost more than a fifth of their rows.",
)
def sync(full: bool, only: list[str], allow_shrink: list[str]) -> None:
    """One sync, start to end: lists, models, checks, publish.

    With RIVO_API_KEY from Rivo into RIVO_WAREHOUSE; without it a demo into data/demo.duckdb.
    """
    if Settings.load().api_key is None:
        from pipelines.demo import start_demo_store

        # It takes a second, and so do the imports of Dagster.
        start_demo_store()
    from cli.run_job import run_sync

    sys.exit(0 if run_sync(full=full, only=only, allow_shrink=allow_shrink) else 1)


@cli.command()
@click.argument("sql")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    help="How to print the result.",
)
def query(sql: str, form: str) -> None:
    """Run SQL on the published warehouse, read-only. SQL '-' reads it from standard input."""
    import duckdb
    from rich.console import Console

    from cli.tables import result_table
    from cli.warehouse import present_warehouse
    from pipelines.warehouse import read_only

    text = sys.stdin.read() if sql == "-" else sql
    with read_only(present_warehouse(Settings.load()).warehouse) as connection:
        try:
            cursor = connection.execute(text)
            columns = [column[0] for column in cursor.description or []]
            rows = cursor.fetchall()
        except duckdb.Error as error:
            raise RivoError(f"The warehouse cannot run this SQL. {error}") from None
    if form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows(rows)
    elif form == "json":
        click.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], default=str, indent=2))
    else:
        width = None if sys.stdout.isatty() else 200
        console = Console(width=width)
        console.print(result_table(columns, rows[:_TABLE_ROWS]))
        more = f", the first {_TABLE_ROWS} shown (--format csv has all)" if len(rows) > _TABLE_ROWS else ""
        console.print(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}{more}", style="dim", highlight=False)


@cli.command()
def doctor() -> None:
    """With the key at hand: will this account work? Writes nothing."""
    from pipelines.doctor import examine

    failed = False
    for finding in examine(Settings.load()):
        failed = failed or not finding.good
        click.echo(f"{'ok     ' if finding.good else 'PROBLEM'}  {finding.text}")
    sys.exit(1 if failed else 0)


@cli.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def sandbox(options: Sequence[str]) -> None:
    """Serve a Rivo-compatible store with simulated data on this machine."""
    from sandbox.__main__ import main as serve

    sys.exit(serve(list(options)))


@cli.command()
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI.")
def dev(port: int) -> None:
    """The Dagster UI with its daemon, on this machine only."""
    from cli.dagster_instance import prepare_dagster_home

    Settings.load()
    prepare_dagster_home()
    os.chdir(os.environ["DAGSTER_HOME"])
    dagster = str(Path(sys.executable).parent / "dagster")
    workspace = str(PROJECT / "workspace.yaml")
    os.execv(dagster, [dagster, "dev", "-w", workspace, "-h", "127.0.0.1", "-p", str(port)])  # noqa: S606
