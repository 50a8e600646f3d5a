"""`rivo`: sync, query, status, models, doctor, sandbox, dev. What each exit code says stands in `cli.exits`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from cli import exits
from cli.commands.backup import backup, restore
from cli.commands.forget import forget
from cli.commands.models import models
from cli.terminal.interrupts import Signalled, heard, sigterm_is_ctrl_c
from cli.terminal.pipes import Group
from pipelines.errors import NoWarehouse, RivoError
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import PROJECT, Settings

_TABLE_ROWS = 200
_WORKSPACE = PROJECT / "workspace.yaml"
_FORMATS = ("table", "csv", "json", "markdown", "parquet")


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=f"""\b
Examples:
  rivo sync                                    one sync; without RIVO_API_KEY a demo
  rivo query "from reports.rpt_data_trust"     SQL on what was synced
  rivo status                                  is it fresh, and can it be trusted?
  rivo COMMAND --help                          more of each

\b
Exit codes, the same for every command:
{exits.help_text()}""",
)
def cli() -> None:
    """Rivo's loyalty data in a DuckDB warehouse: daily syncs, history, SQL models."""


cli.add_command(models)
cli.add_command(backup)
cli.add_command(restore)
cli.add_command(forget)


def main() -> None:
    """Entry point of the `rivo` command: errors meant for people are printed as such."""
    sigterm_is_ctrl_c()
    with heard() as signalled:
        try:
            cli.main(standalone_mode=False, obj=signalled)
        except RivoError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(exits.NO_WAREHOUSE if isinstance(error, NoWarehouse) else exits.FAILED)
        except click.exceptions.Abort:
            click.echo("Stopped. Nothing was changed.", err=True)
            sys.exit(exits.TERMINATED if signalled() == signal.SIGTERM else exits.INTERRUPTED)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except Exception as error:
            sentence = _sentence(error)
            if sentence is None:
                raise
            click.echo(sentence, err=True)
            sys.exit(exits.FAILED)


def _sentence(error: Exception) -> str | None:
    """What an error means that is known only to the packages below; importing them takes half a second."""
    import duckdb

    from dbt_like_sql.runner import ProjectError
    from runs.shop import shop_to_read

    if isinstance(error, ProjectError):
        return f"Error in the SQL models: {error}"
    if not isinstance(error, duckdb.Error):
        return None
    found = shop_to_read(Settings.load()).warehouse.damage(error)
    return f"Error: {found}" if found else None


def _list_names(_context: click.Context, _option: click.Parameter, value: str | None) -> list[str]:
    names = [name.strip() for name in (value or "").split(",") if name.strip()]
    unknown = [name for name in names if name not in ENDPOINTS]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: the lists are {', '.join(ENDPOINTS)}")
    return names


@cli.command(
    epilog="""\b
Examples:
  rivo sync
  rivo sync --full                        read every list completely
  rivo sync --only customers,rewards      models, checks and publishing as ever
  rivo sync --json > sync.json            one JSON document; progress goes to standard error

\b
Ctrl-C leaves everything whole: nothing is published, readers keep what they have.
The document's fields and the exit codes: docs/cli.md."""
)
@click.option("--full", is_flag=True, help="Read every list completely, whatever is known of it.")
@click.option("--only", callback=_list_names, metavar="LISTS", help="Only these lists: customers,rewards")
@click.option(
    "--allow-shrink",
    callback=_list_names,
    metavar="LISTS",
    help="Accept these lists even if they lost more than a fifth of their rows.",
)
@click.option(
    "--rewind",
    is_flag=True,
    help="Rivo's clock ran ahead in an earlier sync: what was read then counts as read now.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def sync(
    signalled: Signalled, full: bool, only: list[str], allow_shrink: list[str], rewind: bool, as_json: bool
) -> None:
    """One sync, start to end: lists, models, checks, publish.

    With RIVO_API_KEY from Rivo into RIVO_WAREHOUSE; without it a demo into data/demo.duckdb.
    """
    try:
        settings = Settings.load()
    except RivoError as error:
        if as_json:
            from cli.terminal.sync_report import failed_before

            click.echo(failed_before(str(error)))
        raise
    if settings.api_key is None:
        from runs.demo import start_demo_store

        # It takes a second, and so do the imports of Dagster.
        start_demo_store()
    from cli.commands.run_job import run_sync

    sys.exit(
        run_sync(signalled, full=full, only=only, allow_shrink=allow_shrink, rewind=rewind, as_json=as_json)
    )


@cli.command(
    epilog="""\b
Examples:
  rivo query "select * from reports.rpt_data_trust"
  rivo query "show all tables"
  rivo query --format csv "from marts.dim_member" > members.csv
  rivo query --format parquet --output ledger.parquet "from marts.fct_points_ledger"
  rivo query - < question.sql

\b
The SQL is DuckDB's. It only reads, and only the warehouse: no other file, nothing from a network."""
)
@click.argument("sql")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    default="table",
    show_default=True,
    help=f"How to print the result. A table shows the first {_TABLE_ROWS} rows, the others all.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of standard output.",
)
def query(sql: str, form: str, output: Path | None) -> None:
    """Run one SQL statement on the published warehouse, read-only.

    SQL '-' reads it from standard input.
    """
    if output and form == "table":
        raise click.UsageError(
            "A file wants one of the formats csv, json, markdown or parquet: --format csv."
        )
    if form == "parquet" and not output and sys.stdout.isatty():
        raise click.UsageError("Parquet is nothing for a terminal: name a file with --output, or use a pipe.")
    import duckdb

    from cli.terminal import query_formats as running
    from cli.terminal.query_errors import sentence
    from cli.terminal.tables import counted, print_result, short, terminal
    from runs.shop import shop_to_read

    warehouse = shop_to_read(Settings.load()).warehouse
    text = sys.stdin.read() if sql == "-" else sql
    with (
        running.spill_folder() as spill,
        warehouse.read(spill) as connection,
    ):
        try:
            relation = running.select(connection, text)
            if form == "table":
                rows = relation.fetchmany(_TABLE_ROWS + 1)
                console = terminal()
                shown = print_result(console, relation.columns, rows[:_TABLE_ROWS])
                more = "the first " if shown < len(rows) else ""
                hint = " (--format csv has all)" if more else ""
                console.print(f"{more}{counted(shown, 'row')}{hint}", style="dim", highlight=False)
                return
            with running.output(output) as sink:
                count = running.write(relation, form, sink)
        except duckdb.Error as error:
            raise warehouse.damage(error) or sentence(connection, error) from None
    if output:
        click.echo(f"Written to {short(output)}, {counted(count, 'row')}.", err=True)


@cli.command(
    epilog="""\b
Exit codes:
  0    fresh, and the last sync went well
  1    the last sync failed
  3    there is no warehouse yet
  4    the last sync is older than the schedule allows (two hours of grace)"""
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document; its fields stand in docs/cli.md.")
def status(as_json: bool) -> None:
    """Last sync, freshness, trust, quarantine, what is due, size. Reads only."""
    from cli.terminal.status import look, show

    found = look(Settings.load())
    show(found, as_json=as_json)
    sys.exit(found.exit_code)


@cli.command()
def doctor() -> None:
    """With the key at hand: will this account work? Writes nothing.

    Asks each of the seven lists for a few rows: is the key accepted, can the list be read from where the last sync
    ended, how long will a first sync take? Exit code 1 when a list cannot be read.
    """
    from pipelines.rivo.doctor import examine

    failed = False
    for finding in examine(Settings.load()):
        failed = failed or not finding.good
        click.echo(f"{'ok     ' if finding.good else 'PROBLEM'}  {finding.text}")
    sys.exit(exits.FAILED if failed else exits.DONE)


@cli.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def sandbox(options: Sequence[str]) -> None:
    """A Rivo-compatible store with simulated data."""
    from sandbox.__main__ import main as serve

    sys.exit(serve(list(options), called="rivo sandbox"))


@cli.command()
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI.")
def dev(port: int) -> None:
    """The Dagster UI with its daemon, on this machine only (127.0.0.1).

    The schedule daily_sync runs while this runs. For a server see docs/deploying.md.
    """
    from assets.instance.home import prepare_dagster_home

    prepare_dagster_home()
    _become("dagster", "dev", "-w", str(_WORKSPACE), "-h", "127.0.0.1", "-p", str(port))


@cli.command()
@click.argument("part", type=click.Choice(["webserver", "daemon", "code"]))
@click.option("--host", default="127.0.0.1", show_default=True, help="Where webserver and code listen.")
@click.option("--port", type=int, help="Their port: 3000 and 4000, if none is named.")
@click.option(
    "--workspace",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=_WORKSPACE,
    help="Dagster's workspace file; the project's, if none is named.",
)
def serve(part: str, host: str, port: int | None, workspace: Path) -> None:
    """One of Dagster's long-running parts, for a server: webserver, daemon, or the code location.

    What systemd and Docker start: docs/deploying.md. On your own machine, `rivo dev` is all of them.
    """
    from assets.instance.home import prepare_dagster_home

    prepare_dagster_home()
    where = str(workspace.resolve())
    if part == "webserver":
        _become("dagster-webserver", "-w", where, "-h", host, "-p", str(port or 3000))
    elif part == "daemon":
        _become("dagster-daemon", "run", "-w", where)
    else:
        _become("dagster", "api", "grpc", "-m", "assets.definitions", "-h", host, "-p", str(port or 4000))


def _become(program: str, *arguments: str) -> None:
    """Replace this process by one of the programs beside this Python."""
    os.chdir(os.environ["DAGSTER_HOME"])
    path = str(Path(sys.executable).parent / program)
    os.execv(path, [path, *arguments])  # noqa: S606
