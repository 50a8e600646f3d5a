"""`rivo models`: look at the SQL models, build and test them, follow their columns, write their documentation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import exits
from cli.terminal.interrupts import Signalled
from pipelines.settings import PROJECT

if TYPE_CHECKING:
    import duckdb


@click.group(
    epilog="""\b
Examples:
  rivo models list --select reports
  rivo models show rpt_redemption_rates
  rivo models build --select +fct_points_ledger
  rivo models lineage rpt_tier_migration.share
  rivo models impact rivo_raw.customers.vip_tier"""
)
def models() -> None:
    """The SQL models: list, build, test, show, lineage, impact, docs.

    SELECTORS are dbt's: a name, +name (with all it is built from), name+ (with all built from it),
    tag:x, a folder such as marts or models/marts. Several go into one pair of quotes, or into several options.
    """


def _selection(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options --select and --exclude."""
    command = click.option("--exclude", multiple=True, metavar="SELECTORS", help="Leave these out.")(command)
    command = click.option(
        "--select", "-s", multiple=True, metavar="SELECTORS", help="Only these: +name, tag:x, marts."
    )(command)
    return click.argument("alone", nargs=-1, metavar="", callback=_no_more, expose_value=False)(command)


def _no_more(_context: click.Context, _argument: click.Parameter, value: tuple[str, ...]) -> None:
    if value:
        raise click.UsageError(
            f"'{' '.join(value)}' stands alone. Selectors follow --select or --exclude, and several go into one pair "
            'of quotes: --select "dim_member +fct_event".'
        )


@models.command("list")
@_selection
def list_(select: tuple[str, ...], exclude: tuple[str, ...]) -> None:
    """All seeds and models in the order in which they are built."""
    from cli.terminal.models_output import print_list
    from dbt_like_sql.runner import load_project
    from dbt_like_sql.runner import select as choose

    project = load_project()
    with _published() as (connection, note):
        print_list(project, choose(project, select, exclude), connection, note)


@models.command()
@_selection
@click.pass_obj
def build(signalled: Signalled, select: tuple[str, ...], exclude: tuple[str, ...]) -> None:
    """Build and test models, and publish.

    From the raw tables that are there. Works in a copy, as a sync does: where a blocking test fails, readers keep
    what they have.
    """
    from cli.terminal.console import Terminal
    from cli.terminal.pipes import DeafConsole
    from dbt_like_sql.runner import load_project
    from dbt_like_sql.runner import select as choose
    from pipelines.settings import Settings
    from runs.run import Finished, Plan, run
    from runs.shop import shop_to_read

    settings = Settings.load()
    project = load_project()
    plan = Plan(lists=None, models=choose(project, select, exclude), publish=True)
    terminal = Terminal(DeafConsole(), "build", signalled)
    event = None
    with terminal:
        for event in run(plan, settings, project, shop_to_read(settings)):
            terminal.event(event)
    terminal.summary()
    sys.exit(exits.DONE if isinstance(event, Finished) and not event.problems else exits.FAILED)


@models.command()
@_selection
def test(select: tuple[str, ...], exclude: tuple[str, ...]) -> None:
    """Run the data tests on the published warehouse, read-only.

    --select takes names of tests too. Exit status 1 when a test of severity 'error' fails.
    """
    from cli.terminal.models_output import print_tests
    from dbt_like_sql.runner import load_project
    from dbt_like_sql.runner.testing import select_tests
    from dbt_like_sql.runner.testing import test as run_tests
    from pipelines.settings import Settings
    from runs.shop import shop_to_read

    project = load_project()
    wanted = select_tests(project, " ".join(select), " ".join(exclude))
    with shop_to_read(Settings.load()).warehouse.read() as connection:
        passed = print_tests(project, run_tests(connection, project, wanted))
    sys.exit(exits.DONE if passed else exits.FAILED)


@models.command()
@click.argument("name")
def show(name: str) -> None:
    """One table: columns, tests, SQL, a few rows."""
    from cli.terminal.models_output import print_table
    from dbt_like_sql.runner import load_project

    project = load_project()
    table = project.table(name)
    with _published() as (connection, note):
        print_table(project, table, connection, note)


@models.command()
@click.argument("column", metavar="MODEL.COLUMN")
def lineage(column: str) -> None:
    """Where a column comes from, step by step, back to the raw tables."""
    from cli.terminal.models_output import print_lineage
    from dbt_like_sql.runner import load_project
    from dbt_like_sql.runner.impact import path_back

    print_lineage(path_back(load_project(), column))


@models.command()
@click.argument("name", metavar="TABLE[.COLUMN]")
def impact(name: str) -> None:
    """What depends on a column or a table."""
    from cli.terminal.models_output import print_impact
    from dbt_like_sql.runner import load_project
    from dbt_like_sql.runner.impact import impact as find

    print_impact(name, find(load_project(), name))


@models.command()
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    default=PROJECT / "data" / "models.html",
    help="The file to write; data/models.html of the project, if none is named.",
)
def docs(output: Path) -> None:
    """Write one HTML page on all tables.

    It needs no network, and can be opened, sent or hosted anywhere.
    """
    from cli.terminal.tables import short
    from dbt_like_sql.runner import load_project
    from dbt_like_sql.runner.docs import page

    with _published() as (connection, note):
        html = page(load_project(), connection, note, "rivo-warehouse")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(html, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(
            f"{output} cannot be written ({error.strerror}). Choose another file with --output."
        ) from None
    click.echo(
        f"Written to {short(output)}, {len(html.encode()) / 1e6:.1f} MB. Open it in a browser; it needs no network."
    )


@contextmanager
def _published() -> Iterator[tuple[duckdb.DuckDBPyConnection | None, str]]:
    """The published warehouse, read-only, if there is one, and a sentence on which it is, or that there is none."""
    from cli.terminal.tables import short
    from pipelines.settings import Settings
    from runs.shop import shop_to_read

    where = shop_to_read(Settings.load())
    name = short(where.warehouse.path)
    if not where.warehouse.exists:
        yield (
            None,
            f"There is no warehouse at {name} yet: rows, types and results are known after `make sync`.",
        )
        return
    with where.warehouse.read() as connection:
        kind = " (a demo with simulated data)" if where.is_demo else ""
        yield connection, f"Rows, types and results are those of {name}{kind}"
