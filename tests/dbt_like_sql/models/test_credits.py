"""The sign of store credit where Rivo sends none."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from pipelines.warehouse import Warehouse
from runs.recent_events import POINTS_EARNED, recent_events
from tests.harness.compare import Object
from tests.harness.shop import SmallShop, open_shop


def spends_credits(row: Object) -> bool:
    attributes = row["attributes"]
    return (
        attributes["source"] == "points_purchase"
        and attributes.get("credits_diff") is None
        and Decimal(attributes["credits_amount"]) > 0
        and attributes.get("revoked_at") is None
    )


def add_to_tally(shop: SmallShop, event: Object, amount: Decimal) -> None:
    customer_id = event["attributes"]["customer"]["id"]
    [customer] = [each for each in shop.lists["customers"] if each["id"] == customer_id]
    customer["attributes"]["credits_tally"] = str(Decimal(customer["attributes"]["credits_tally"]) + amount)


def refund(shop: SmallShop, spent: Object) -> Object:
    """Return the credits of a redemption by a second event, as Rivo's refunds do."""
    row: Object = json.loads(json.dumps(spent))
    row["id"] = row["attributes"]["id"] = shop.lists["points_events"][-1]["id"] + 1
    at = datetime.fromisoformat(spent["attributes"]["applied_at"]) + timedelta(hours=3)
    row["attributes"]["applied_at"] = at.isoformat()
    shop.lists["points_events"].append(row)
    add_to_tally(shop, row, Decimal(row["attributes"]["credits_amount"]))
    return row


def test_sign_of_credits_follows_the_redemption_then_the_tally(tmp_path: Path) -> None:
    selection = "+fct_points_ledger +rpt_data_trust +rpt_ledger_reconciliation"
    with open_shop(tmp_path / "rivo.duckdb", selection=selection, credits_only=True) as shop:
        events = Counter(row["attributes"].get("points_purchases_id") for row in shop.lists["points_events"])
        spent = {
            row["attributes"]["customer"]["id"]: row
            for row in shop.lists["points_events"]
            if spends_credits(row) and events[row["attributes"]["points_purchases_id"]] == 1
        }
        by_redemption, by_tally, twice, doubtful = list(spent.values())[:4]
        returns = [
            refund(shop, by_redemption),
            refund(shop, by_tally),
            refund(shop, twice),
            refund(shop, twice),
        ]
        for row in returns[1:]:
            # Nothing but the tally tells that it is a return.
            row["attributes"]["points_purchases_id"] = None
        add_to_tally(shop, doubtful, Decimal("0.5"))

        finished = shop.sync(models=True)

        assert finished.problems == ()
        amounts = dict(
            shop.query(
                "select event_id, amount from marts.fct_points_ledger where unit = 'credits' and leg = 'original'"
            )
        )
        for row in returns:
            assert amounts[row["id"]] == Decimal(row["attributes"]["credits_amount"])
        for row in (by_redemption, by_tally, twice, doubtful):
            assert amounts[row["id"]] == -Decimal(row["attributes"]["credits_amount"])
        unexplained = "select customer_id from reports.rpt_ledger_reconciliation where not is_reconciled"
        assert shop.query(unexplained) == [(doubtful["attributes"]["customer"]["id"],)]
        [(status, answer)] = shop.query(
            "select status, answer from reports.rpt_data_trust where check_name = 'credit_signs'"
        )
        assert status == "attention"
        assert str(doubtful["id"]) in answer.split(", ")


def test_recent_event_that_returns_credits_is_told_from_one_that_spends_them(tmp_path: Path) -> None:
    with open_shop(tmp_path / "rivo.duckdb", credits_only=True) as shop:
        shop.sync("points_events")
        spent = next(row for row in shop.lists["points_events"] if spends_credits(row))
        returned = refund(shop, spent)

        found = recent_events(shop.settings, Warehouse(shop.path), POINTS_EARNED, returned["id"] - 1)

        assert (found.events, found.ids) == (1, [returned["id"]])
        assert found.credits == Decimal(returned["attributes"]["credits_amount"])
        with Warehouse(shop.path).recent_events.read() as connection:
            assert connection.execute("select id from rivo_raw.points_events").fetchall() == [
                (returned["id"],)
            ]
