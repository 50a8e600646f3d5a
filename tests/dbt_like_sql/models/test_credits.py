"""The sign of store credit where Rivo sends none."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

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


def refund(shop: SmallShop, spent: Object) -> None:
    """Return the credits of a redemption by a second event, as Rivo's refunds do."""
    row = json.loads(json.dumps(spent))
    row["id"] = row["attributes"]["id"] = shop.lists["points_events"][-1]["id"] + 1
    at = datetime.fromisoformat(spent["attributes"]["applied_at"]) + timedelta(hours=3)
    row["attributes"]["applied_at"] = at.isoformat()
    shop.lists["points_events"].append(row)
    customer_id = row["attributes"]["customer"]["id"]
    [customer] = [each for each in shop.lists["customers"] if each["id"] == customer_id]
    tally = Decimal(customer["attributes"]["credits_tally"]) + Decimal(row["attributes"]["credits_amount"])
    customer["attributes"]["credits_tally"] = str(tally)


def test_later_event_of_a_redemption_returns_its_credits(tmp_path: Path) -> None:
    with open_shop(tmp_path / "rivo.duckdb", customers=150, months=8) as shop:
        events = Counter(row["attributes"].get("points_purchases_id") for row in shop.lists["points_events"])
        spent = [
            row
            for row in shop.lists["points_events"]
            if spends_credits(row) and events[row["attributes"]["points_purchases_id"]] == 1
        ]
        assert len(spent) >= 2
        refund(shop, spent[0])

        finished = shop.sync(models=True)

        assert finished.problems == ()
        ledger = "select amount from marts.fct_points_ledger where redemption_id = {} and unit = 'credits' order by 1"
        amount = Decimal(spent[0]["attributes"]["credits_amount"])
        found = shop.query(ledger.format(spent[0]["attributes"]["points_purchases_id"]))
        assert found == [(-amount,), (amount,)]
        unexplained = "select count(*) from reports.rpt_ledger_reconciliation where not is_reconciled"
        assert shop.query(unexplained) == [(0,)]
