"""`rivo forget`: what is told and asked; the work is done in `pipelines.privacy.erasure`."""

from __future__ import annotations

import sys

import click

from cli import exits
from cli.terminal.interrupts import Signalled
from pipelines.settings import Settings


@click.command(
    epilog="""\b
Examples:
  rivo forget 7198630248648
  rivo forget ada@example.com        where one customer alone has that address

\b
RIVO_PII_KEY must be set, and must stay: it is how the next sync recognises the person.
What becomes of a person's data: docs/privacy.md."""
)
@click.argument("customer", required=False)
@click.option(
    "--key-lost",
    is_flag=True,
    help="RIVO_PII_KEY is lost: let those go who were forgotten under it. They come back with the next sync.",
)
@click.pass_obj
def forget(signalled: Signalled, customer: str | None, key_lost: bool) -> None:
    """Remove a person from every table, history and file of the warehouse, and from the next syncs.

    CUSTOMER is a Shopify id or an e-mail address. Amounts stay, under a key that leads nowhere.
    """
    if key_lost == (customer is not None):
        raise click.UsageError("Name the customer, or say --key-lost.")
    from assets.instance.traces import replace_in_dagster, storages_of
    from cli.terminal.console import Terminal
    from cli.terminal.pipes import DeafConsole
    from dbt_like_sql.runner import load_project
    from pipelines.errors import NoWarehouse
    from pipelines.privacy.erasure import Person, delete_unrecognisable, erase
    from pipelines.warehouse import Build
    from runs.run import Finished, Plan, run
    from runs.shop import shop_to_read

    settings = Settings.load()
    where = shop_to_read(settings)
    project = load_project()
    people: list[Person] = []
    given_up: list[int] = []

    def prepare(work: Build) -> None:
        if customer is None:
            given_up.append(delete_unrecognisable(work.connection, settings))
        else:
            people.append(erase(work, settings, customer))

    if not where.warehouse.base.exists:
        raise NoWarehouse(f"There is no warehouse at {where.warehouse} yet, so nobody is in it.")
    storages = storages_of(settings)
    plan = Plan(lists=None, models=list(project.nodes), publish=True, prepare=prepare)
    terminal = Terminal(DeafConsole(), "forgetting", signalled)
    event = None
    with terminal:
        for event in run(plan, settings, project, where):
            terminal.event(event)
    terminal.summary()
    done = isinstance(event, Finished) and event.published
    for person in people:
        click.echo(
            f"\nForgotten. The amounts are kept under the key {person.key}, and the next syncs let nothing of the "
            "person back in, as long as RIVO_PII_KEY stays what it is."
            if done
            else "\nThe person is gone from what the next sync starts from, but not yet from the published file: it is "
            "replaced by the next run that passes its checks."
        )
        click.echo(
            "Elsewhere the person may still be: in backups and copies made before, in exports, in programs that still "
            "hold the file open, and in Rivo and Shopify themselves."
        )
    for person in people:
        replace_in_dagster(storages, person.words, person.key)
    for count in given_up:
        click.echo(
            f"\n{count} forgotten people can no longer be recognised. They come back with the next sync; forget them "
            "again under the new RIVO_PII_KEY."
        )
    sys.exit(exits.DONE if done else exits.FAILED)
