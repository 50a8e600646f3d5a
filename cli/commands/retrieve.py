"""`rivo customer` and `rivo tier`."""

from __future__ import annotations

import click

from cli.shops import ShopChoice, shop_options


@click.command(
    epilog="""\b
Examples:
  rivo customer 7198630248648
  rivo customer ann@example.com --json"""
)
@click.argument("identifier", metavar="ID_OR_EMAIL")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document. Its fields: docs/cli.md.")
@shop_options(every=False)
def customer(identifier: str, as_json: bool, choice: ShopChoice) -> None:
    """Show a customer as Rivo returns it now, next to its row in the warehouse.

    ID_OR_EMAIL is Shopify's customer id or the e-mail address. Changes nothing.
    """
    _show(choice, "customers", identifier, as_json)


@click.command(
    epilog="""\b
Examples:
  rivo tier 552288"""
)
@click.argument("tier_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document. Its fields: docs/cli.md.")
@shop_options(every=False)
def tier(tier_id: str, as_json: bool, choice: ShopChoice) -> None:
    """Show a VIP tier as Rivo returns it now, next to its row in the warehouse. Changes nothing."""
    _show(choice, "vip_tiers", tier_id, as_json)


def _show(choice: ShopChoice, name: str, identifier: str, as_json: bool) -> None:
    from cli.terminal.retrieved import show
    from runs.retrieve import retrieve

    show(retrieve(choice.one(), name, identifier), as_json=as_json)
