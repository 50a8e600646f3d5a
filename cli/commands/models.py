"""`rivo models`: list, build and test the SQL models, trace their columns, write their documentation, export them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import exits
from cli.commands.all_shops import all_shops
from cli.commands.export import export
from cli.shops import ShopChoice, for_each, shop_options
from cli.terminal.interrupts import Signalled

if TYPE_CHECKING:
    import duckdb

    from pipelines.settings import Settings


@click.group(
    epilog="""\b
Examples:
  rivo models list --select reports
  rivo models show rpt_redemption_rates
  rivo models build --select +fct_points_ledger
  rivo models lineage rpt_tier_migration.share
  rivo models impact rivo_raw.customers.vip_tier
  rivo models export --dialect postgres loyalty-dbt"""
)
def models() -> None:
    """List, build, test and document the SQL models.

    SELECTORS follow dbt's syntax: name, +name (and everything it is built from), name+ (and everything built from
    it), tag:x, or a folder such as marts or models/marts. Quote several together, or repeat the option.
    """


models.add_command(all_shops)
models.add_command(export)


def _selection(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options --select and --exclude to a command."""
    command = click.option("--exclude", multiple=True, metavar="SELECTORS", help="Exclude these.")(command)
    command = click.option(
        "--select", "-s", multiple=True, metavar="SELECTORS", help="Only these: +name, tag:x, marts."
    )(command)
    return click.argument("alone", nargs=-1, metavar="", callback=_no_more, expose_value=False)(command)


def _no_more(_context: click.Context, _argument: click.Parameter, value: tuple[str, ...]) -> None:
    if value:
        raise click.UsageError(
            f"Unexpected argument '{' '.join(value)}'. Selectors follow --select or --exclude. "
            'Quote several together: --select "dim_member +fct_event".'
        )


@models.command("list")
@_selection
@shop_options(every=False)
def list_(select: tuple[str, ...], exclude: tuple[str, ...], choice: ShopChoice) -> None:
    """List the seeds and models in build order."""
    from cli.terminal.models_output import print_list
    from dbt_like_sql.runner import load_project
    from dbt_like_sql.runner import select as choose

    settings = choice.one()
    project = load_project(shop=settings.shop)
    with _published(settings) as (connection, note):
        print_list(project, choose(project, select, exclude), connection, note)


@models.command()
@_selection
@click.option("--all", "everything", is_flag=True, help="Build also the models that cannot have changed.")
@shop_options()
@click.pass_obj
def build(
    signalled: Signalled,
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    everything: bool,
    choice: ShopChoice,
) -> None:
    """Build and test models from the existing raw tables, then publish.

    Works in a copy, as a sync does: if a blocking test fails, readers keep the previous data. Models whose SQL and
    input rows are the same as at their last build are left as they are; --all builds them too.
    """
    from cli.commands.rebuild import rebuild
    from dbt_like_sql.runner import load_project
    from dbt_like_sql.runner import select as choose
    from runs.run import Plan
    from runs.shop import shop_to_read

    def of_shop(settings: Settings) -> int:
        shop = shop_to_read(settings)
        project = load_project(shop=settings.shop)
        plan = Plan(lists=None, models=choose(project, select, exclude), publish=True, everything=everything)
        finished = rebuild(plan, project, shop, signalled, work="build")
        return exits.DONE if finished and finished.published else exits.FAILED

    sys.exit(for_each(choice.all(), of_shop))


@models.command()
@_selection
@shop_options(every=False)
def test(select: tuple[str, ...], exclude: tuple[str, ...], choice: ShopChoice) -> None:
    """Run the data tests on the published warehouse, read-only.

    --select also accepts names of tests. Exits with 1 if a test of severity 'error' fails.
    """
    from cli.terminal.models_output import print_tests
    from dbt_like_sql.runner import load_project
    from dbt_like_sql.runner.testing import select_tests
    from dbt_like_sql.runner.testing import test as run_tests
    from runs.shop import shop_to_read

    settings = choice.one()
    project = load_project(shop=settings.shop)
    wanted = select_tests(project, " ".join(select), " ".join(exclude))
    with shop_to_read(settings).warehouse.read() as connection:
        passed = print_tests(project, run_tests(connection, project, wanted))
    sys.exit(exits.DONE if passed else exits.FAILED)


@models.command()
@click.argument("name")
@shop_options(every=False)
def show(name: str, choice: ShopChoice) -> None:
    """Show one table: columns, tests, SQL and a few rows."""
    from cli.terminal.models_output import print_table
    from dbt_like_sql.runner import load_project

    settings = choice.one()
    project = load_project(shop=settings.shop)
    table = project.table(name)
    with _published(settings) as (connection, note):
        print_table(project, table, connection, note)


@models.command()
@click.argument("column", metavar="MODEL.COLUMN")
def lineage(column: str) -> None:
    """Trace a column step by step back to the raw tables."""
    from cli.terminal.models_output import print_lineage
    from dbt_like_sql.runner import load_project
    from dbt_like_sql.runner.impact import path_back

    print_lineage(path_back(load_project(), column))


@models.command()
@click.argument("name", metavar="TABLE[.COLUMN]")
def impact(name: str) -> None:
    """List everything that depends on a column or a table."""
    from cli.terminal.models_output import print_impact
    from dbt_like_sql.runner import load_project
    from dbt_like_sql.runner.impact import impact as find

    print_impact(name, find(load_project(), name))


@models.command()
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="File to write, or a folder (a name without an ending) for index.html. Default: data/models.html.",
)
@shop_options(every=False)
def docs(output: Path | None, choice: ShopChoice) -> None:
    """Write the documentation of all tables as one HTML page.

    The page needs no network. You can open it, send it or host it anywhere. It shows the first rows of the example
    queries: of the demo all of them, of a shop only aggregates, never rows about single customers.
    """
    from cli.terminal.html_files import html_file
    from cli.terminal.tables import short
    from dbt_like_sql.runner import load_project
    from dbt_like_sql.runner.docs import page
    from pipelines.output_files import write_whole
    from pipelines.settings import PROJECT
    from runs.answers import answers
    from runs.pictures import page_css, pictures
    from runs.shop import shop_to_read

    output = output or PROJECT / "data" / "models.html"
    output = html_file(output, "index.html")
    settings = choice.one()
    project = load_project(shop=settings.shop)
    is_demo = shop_to_read(settings).is_demo
    with _published(settings, names_folder=False) as (connection, note):
        found = answers(project, connection, is_simulated=is_demo) if connection else {}
        html = page(
            project,
            connection,
            note,
            "rivo-warehouse",
            answers=found,
            pictures=pictures(connection) if connection else {},
            picture_css=page_css(':root[data-theme="dark"]'),
        )
    write_whole(output, html.encode())
    if output.is_file():
        size = len(html.encode()) / 1e6
        click.echo(f"Wrote {short(output)}, {size:.1f} MB. Open it in a browser; it needs no network.")


@contextmanager
def _published(
    settings: Settings, *, names_folder: bool = True
) -> Iterator[tuple[duckdb.DuckDBPyConnection | None, str]]:
    """Open the published warehouse, read-only. Yields None if there is none.

    Also yields a sentence, without a full stop, that names it or says that there is none.
    """
    from cli.terminal.tables import short
    from runs.shop import shop_to_read

    shop = shop_to_read(settings)
    # A page may be sent to people who need not know the folders of this machine.
    name = short(shop.warehouse) if names_folder else Path(str(shop.warehouse)).name
    if not shop.warehouse.exists:
        yield (
            None,
            f"There is no warehouse at {name} yet. Run `make sync` to see rows, types and test results",
        )
        return
    with shop.warehouse.read() as connection:
        kind = " (a demo with simulated data)" if shop.is_demo else ""
        yield connection, f"Rows, types and test results are from {name}{kind}"
