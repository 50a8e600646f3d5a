"""`rivo actions`: look at, plan and apply changes in Rivo."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import exits
from cli.shops import ShopChoice, for_each, shop_options

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from runs.action_rows import Definition
    from runs.actions import Desk


@click.group(
    epilog="""\b
Examples:
  rivo actions list
  rivo actions plan welcome_new_tier
  rivo actions apply welcome_new_tier
  rivo actions plan add_points --from people.csv
  rivo actions add-points 7198630248648 100 --note "Thank you"
  rivo actions set-vip-tier ann@example.com 552288"""
)
def actions() -> None:
    """Change something in Rivo: add points, redeem rewards, set tiers and more.

    An action is a SELECT in dbt_like_sql/actions, a CSV file, or one row given here. Each row is recorded before it is
    sent, sent once, and read back. docs/actions.md describes all of it.
    """


def _source(function: Callable[..., None]) -> Callable[..., None]:
    """Add the argument and the options that name the rows of an action."""
    for add in (
        click.option(
            "--key", help="With --from: columns that make a row unique, comma-separated. Default: all."
        ),
        click.option(
            "--from",
            "file",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Read the rows from this CSV file. NAME is then an action or a kind such as add_points.",
        ),
        click.argument("name"),
    ):
        function = add(function)
    return function


_YES = click.option("--yes", is_flag=True, help="Send without asking.")


@actions.command("list")
@shop_options()
def list_actions(choice: ShopChoice) -> None:
    """List the actions of the project: what they do, whether they are enabled, what was sent."""
    from cli.terminal.actions_output import show_list
    from dbt_like_sql.runner import load_project
    from runs.action_rows import all_of
    from runs.actions import desk

    def of_shop(settings: Settings) -> None:
        with desk(settings) as looked:
            show_list(list(all_of(load_project())), looked.outbox)

    sys.exit(for_each(choice.all(), of_shop))


@actions.command()
@_source
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv"]),
    default="table",
    show_default=True,
    help="A table shows the first 20 rows; csv contains all.",
)
@click.option("--retry-refused", is_flag=True, help="Plan again what Rivo refused before.")
@shop_options()
def plan(
    name: str, file: Path | None, key: str | None, form: str, choice: ShopChoice, *, retry_refused: bool
) -> None:
    """Show what an action would send now, and what it would not. Sends nothing.

    Shows who gets how much, what it costs, what was done before, who is left out and why, and which limits hold rows
    back.
    """
    from cli.terminal.actions_output import show_plan, write_plan
    from runs.actions import desk

    shops = choice.all()
    if form == "csv" and len(shops) > 1:
        raise click.UsageError("--format csv is for one shop at a time: add --shop NAME.")
    definition = _definition(name, file, key)

    def of_shop(settings: Settings) -> None:
        with desk(settings) as looked:
            made = looked.plan(definition, retry_refused=retry_refused)
            if form == "csv":
                write_plan(made)
            else:
                show_plan(made, definition, looked)

    sys.exit(for_each(shops, of_shop))


@actions.command()
@_source
@_YES
@click.option("--retry-refused", is_flag=True, help="Send again what Rivo refused before.")
@shop_options()
def apply(
    name: str, file: Path | None, key: str | None, choice: ShopChoice, *, yes: bool, retry_refused: bool
) -> None:
    """Send an action to Rivo, after showing its plan.

    First finds out what became of actions that an earlier apply sent without an answer. A row that was sent before is
    never sent again. Without RIVO_API_KEY, the action is applied to the demo's sandbox store.
    """
    definition = _definition(name, file, key)
    sys.exit(
        for_each(choice.all(), lambda shop: _apply(shop, definition, yes=yes, retry_refused=retry_refused))
    )


def _definition(name: str, file: Path | None, key: str | None) -> Definition:
    from dbt_like_sql.runner import load_project
    from runs.action_rows import from_file, from_project

    if key and not file:
        raise click.UsageError("--key is for --from; the key of an action is in its property file.")
    columns = [column.strip() for column in (key or "").split(",") if column.strip()]
    return from_file(load_project(), name, file, columns) if file else from_project(load_project(), name)


def _apply(
    settings: Settings,
    definition: Definition,
    *,
    yes: bool,
    retry_refused: bool = False,
    again: Callable[[Desk], Definition] | None = None,
) -> int:
    """Apply a definition, and return the exit code; `again` returns one that is not equal to what was done before."""
    from cli.terminal.actions_output import Follower
    from runs.actions import apply as carry_out
    from runs.actions import applying

    follower = Follower(definition, yes=yes)
    with applying(settings, follower.notice) as desk:
        follower.desk = desk
        definition = again(desk) if again else definition
        applied = carry_out(desk, definition, follower.watcher, retry_refused=retry_refused)
    if applied is None:
        click.echo("Nothing was sent.")
        return exits.DONE
    follower.summary(applied)
    return exits.FAILED if applied.problems or applied.stopped else exits.DONE


@actions.command()
@click.argument("action_id", type=int)
@click.argument("outcome", type=click.Choice(["done", "not-done"]))
@shop_options(every=False)
def resolve(action_id: int, outcome: str, choice: ShopChoice) -> None:
    """Say what became of an action whose outcome Rivo's lists do not show.

    Look the action up in Rivo first. `not-done` makes it free to be sent again.
    """
    from runs.actions import applying

    with applying(choice.one()) as desk:
        click.echo(desk.decide(action_id, is_done=outcome == "done"))


_SINGLE = (
    shop_options(every=False),
    click.option("--again", is_flag=True, help="Send it although an equal one was sent before."),
    _YES,
)


def _single(function: Callable[..., None]) -> Callable[..., None]:
    for add in _SINGLE:
        function = add(function)
    return function


def _apply_row(
    choice: ShopChoice,
    kind: str,
    row: dict[str, Any],
    *,
    yes: bool,
    again: bool,
    send_email: bool = False,
    allow_negative: bool = False,
) -> None:
    from dataclasses import replace

    from runs.action_rows import from_row
    from runs.actions import times_done

    def definition(repeat: int = 0) -> Definition:
        once = from_row(kind, row, repeat=repeat)
        return replace(once, send_email=send_email, allow_negative=allow_negative)

    def one_more(desk: Desk) -> Definition:
        return definition(times_done(desk, kind, row))

    # What Rivo refused, or was not carried out, is sent again as it is.
    settings = choice.one()
    sys.exit(_apply(settings, definition(), yes=yes, retry_refused=again, again=one_more if again else None))


@actions.command("add-points")
@click.argument("customer")
@click.argument("points", type=int, default=0)
@click.option("--credits", type=float, help="Store credits to add, in the shop's currency.")
@click.option("--note", help="A note that the shopper sees.")
@click.option("--internal-note", help="A note that only staff see.")
@click.option("--custom-action", help="Name of a custom action that the points are for.")
@click.option("--send-email", is_flag=True, help="Let Rivo send its mail about earned points.")
@click.option("--allow-negative", is_flag=True, help="Let the balance become negative.")
@_single
def add_points(
    customer: str,
    points: int,
    credits: float | None,
    note: str | None,
    internal_note: str | None,
    custom_action: str | None,
    choice: ShopChoice,
    *,
    send_email: bool,
    allow_negative: bool,
    again: bool,
    yes: bool,
) -> None:
    """Add POINTS to the balance of CUSTOMER, or take them away with a negative number.

    CUSTOMER is Shopify's id or the e-mail address. Write `--` before a negative number: `add-points -- ID -50`.
    """
    row = {
        "customer_id": customer,
        "points_amount": points or None,
        "credits_amount": credits,
        "external_note": note,
        "internal_note": internal_note,
        "custom_action_name": custom_action,
    }
    _apply_row(
        choice, "add_points", row, yes=yes, again=again, send_email=send_email, allow_negative=allow_negative
    )


@actions.command("redeem-reward")
@click.argument("customer")
@click.argument("reward_id")
@click.option("--points", type=int, help="Points to spend, for a reward without a fixed price.")
@click.option("--credits", type=float, help="Store credits to spend, for a reward without a fixed price.")
@_single
def redeem_reward(
    customer: str,
    reward_id: str,
    points: int | None,
    credits: float | None,
    choice: ShopChoice,
    *,
    again: bool,
    yes: bool,
) -> None:
    """Redeem a reward for CUSTOMER, an id or e-mail address. Rivo sends the customer a mail with the code."""
    row = {
        "customer_id": customer,
        "reward_id": reward_id,
        "points_amount": points,
        "credits_amount": credits,
    }
    _apply_row(choice, "redeem_reward", row, yes=yes, again=again)


@actions.command("refund-redemption")
@click.argument("redemption_id")
@_single
def refund_redemption(redemption_id: str, choice: ShopChoice, *, again: bool, yes: bool) -> None:
    """Refund a redemption: its points come back, and its code ends."""
    _apply_row(choice, "refund_redemption", {"redemption_id": redemption_id}, yes=yes, again=again)


@actions.command("create-referral")
@click.argument("email")
@click.argument("referral_code")
@click.argument("remote_ip")
@_single
def create_referral(
    email: str, referral_code: str, remote_ip: str, choice: ShopChoice, *, again: bool, yes: bool
) -> None:
    """Record that the friend EMAIL was invited by the member with REFERRAL_CODE.

    REMOTE_IP is the friend's IP address. Rivo blocks referrals from the advocate's own address, and many from one.
    """
    row = {"email": email, "referral_code": referral_code, "remote_ip": remote_ip}
    _apply_row(choice, "create_referral", row, yes=yes, again=again)


@actions.command("update-customer")
@click.argument("customer")
@click.option("--dob", help="Birthday as MM-DD.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME=VALUE",
    help="A field that RIVO_CALL_UPDATE_CUSTOMER names. May be given several times.",
)
@_single
def update_customer(
    customer: str, dob: str | None, fields: tuple[str, ...], choice: ShopChoice, *, again: bool, yes: bool
) -> None:
    """Change CUSTOMER, an id or e-mail address. Sending an unchanged birthday may restart its waiting time."""
    pairs = [field.partition("=") for field in fields]
    if wrong := [name for name, sign, _ in pairs if not sign]:
        raise click.UsageError(f"--field {wrong[0]}: write NAME=VALUE.")
    row = {"customer_id": customer, "dob": dob, **{name: value for name, _, value in pairs}}
    _apply_row(choice, "update_customer", row, yes=yes, again=again)


@actions.command("set-vip-tier")
@click.argument("customer")
@click.argument("tier_id")
@_single
def set_vip_tier(customer: str, tier_id: str, choice: ShopChoice, *, again: bool, yes: bool) -> None:
    """Move CUSTOMER, an id or e-mail address, to a tier. Rivo may recalculate it at the customer's next activity."""
    _apply_row(
        choice, "set_vip_tier", {"customer_id": customer, "vip_tier_id": tier_id}, yes=yes, again=again
    )
