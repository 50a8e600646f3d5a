"""`rivo forget`. `pipelines.privacy.erasure` does the work."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cli import exits
from cli.shops import ShopChoice, for_each, shop_options
from cli.terminal.interrupts import Signalled

if TYPE_CHECKING:
    from pipelines.privacy.erasure import Person
    from pipelines.settings import Settings

_WITHOUT = " without the person"
_STILL = ", and still has the rows of shops that failed"


@click.command(
    epilog="""\b
Examples:
  rivo forget 7198630248648
  rivo forget ada@example.com        if only one customer has this address
  rivo forget --all-shops ada@example.com

\b
RIVO_PII_KEY must be set and must not change: syncs use it to recognise the person.
What happens to a person's data: docs/privacy.md."""
)
@click.argument("customer", required=False)
@click.option(
    "--key-lost",
    is_flag=True,
    help="RIVO_PII_KEY is lost: stop recognising the people erased under it. They come back with the next sync.",
)
@shop_options()
@click.pass_obj
def forget(signalled: Signalled, customer: str | None, key_lost: bool, choice: ShopChoice) -> None:
    """Erase a person from the warehouse and from later syncs.

    CUSTOMER is a Shopify id or an e-mail address. Every table, history and file of the warehouse is rewritten without
    the person, the outbox of actions included. Amounts are kept under a random key. With --all-shops, every shop that
    knows the person erases them.
    """
    if key_lost == (customer is not None):
        raise click.UsageError("Name a customer, or use --key-lost.")
    from pipelines.errors import NoWarehouse, RivoError
    from pipelines.privacy.erasure import UnknownPerson

    shops = choice.all()
    unknown = []
    published = []

    def of_shop(settings: Settings) -> int:
        try:
            is_published, code = _forget(settings, signalled, customer)
        except (UnknownPerson, NoWarehouse) as error:
            if len(shops) == 1:
                raise
            unknown.append(settings.shop)
            click.echo(str(error))
            return exits.DONE
        if is_published:
            published.append(settings.shop)
        return code

    try:
        code = for_each(shops, of_shop)
    except UnknownPerson:
        _forget_in_union(None)
        raise
    if len(unknown) == len(shops):
        # A command that was killed may have erased the person, and not have come to the file of all shops.
        _forget_in_union(None)
        raise RivoError("No shop knows this person, or no longer. Nothing was changed.")
    if published:
        _forget_in_union("" if customer is None else _WITHOUT if code == exits.DONE else _STILL)
    sys.exit(code)


def _forget_in_union(how: str | None) -> None:
    """Write the file of all shops again, which has a copy of the person's rows; `how` ends the sentence about it.

    Without `how`, nothing is printed.

    Raises:
        RivoError: it still has them.
    """
    from pipelines.errors import RivoError, command
    from pipelines.settings import Settings
    from runs.all_shops import refresh_united

    try:
        written = refresh_united(Settings.load())
    except RivoError as error:
        raise RivoError(
            f"The person is still in the file of all shops, which could not be written again: {error} Then run "
            f"`{command()} models all-shops`, or delete that file."
        ) from None
    if written and how is not None:
        click.echo(f"\n{written} was written again{how}.")


def _forget(settings: Settings, signalled: Signalled, customer: str | None) -> tuple[bool, int]:
    """Return whether the shop's file was published without the person, and the exit code."""
    from assets.instance.traces import replace_in_dagster, storages_of
    from cli.commands.rebuild import rebuild
    from dbt_like_sql.runner import load_project
    from pipelines.actions.erasing import erase_from_outbox
    from pipelines.errors import NoWarehouse
    from pipelines.privacy.erasure import delete_unrecognisable, erase
    from pipelines.warehouse import RAW, Build
    from pipelines.warehouse.action_tables import load_outbox
    from pipelines.webhooks.deliveries import erase_person
    from runs.run import Plan
    from runs.shop import shop_to_read

    shop = shop_to_read(settings)
    project = load_project(shop=settings.shop)
    people: list[Person] = []
    given_up: list[int] = []

    def prepare(work: Build) -> None:
        if customer is None:
            given_up.append(delete_unrecognisable(work.connection, settings))
        else:
            person = erase(work, settings, customer)
            people.append(person)
            erased = work.connection.execute(
                f"select identifier, customer_key, key_check from {RAW}._forgotten"
            )
            erase_person(shop.warehouse, person.words, person.id, person.key, erased.fetchall())
            outbox = shop.warehouse.outbox
            erase_from_outbox(outbox, person)
            load_outbox(work.connection, outbox)

    shop.warehouse.pull()
    if not shop.warehouse.base.exists:
        raise NoWarehouse(f"There is no warehouse at {shop.warehouse} yet, so there is no data to erase.")
    storages = storages_of(settings)
    # Everything, because the message of an earlier test result may name the person's rows.
    plan = Plan(
        lists=None, models=list(project.nodes), publish=True, prepare=prepare, everything=True, erases=True
    )
    finished = rebuild(plan, project, shop, signalled, work="erasure")
    published = finished is not None and finished.published
    for person in people:
        _report(person, settings, published=published)
        replace_in_dagster(storages, person.words, person.key)
    for count in given_up:
        click.echo(
            f"\nErased people who can no longer be recognised: {count}. They come back with the next sync; then erase "
            f"them again under the new {settings.variable('pii_key')}."
        )
    succeeded = finished is not None and published and not finished.problems
    return published, exits.DONE if succeeded else exits.FAILED


def _report(person: Person, settings: Settings, *, published: bool) -> None:
    click.echo(
        f"\nErased. The amounts are kept under the key {person.key}. Syncs will not load the person again, as long "
        f"as {settings.variable('pii_key')} does not change."
        if published
        else "\nThe person is erased from the data that the next sync starts from, but is still in the published "
        "file. The next run that passes its checks replaces that file."
    )
    click.echo(
        "The person may still be in other places: backups and copies made before, exports, programs that have the "
        "old file open, and Rivo and Shopify themselves."
    )
