"""Revoking what was never earned takes nothing from the points earned."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.shop import open_shop


@pytest.mark.parametrize(
    ("source", "entry_class"), [("import", "issue_import"), ("gamification_spin", "unclassified")]
)
def test_revocation_keeps_the_class_of_what_was_never_earned(
    tmp_path: Path, source: str, entry_class: str
) -> None:
    with open_shop(tmp_path / "rivo.duckdb", selection="+fct_points_ledger +dim_member") as shop:
        event = next(row for row in shop.lists["points_events"] if row["attributes"]["points_diff"] > 0)
        customer = event["attributes"]["customer"]["id"]
        mine = [
            row["attributes"]
            for row in shop.lists["points_events"]
            if row["attributes"]["customer"]["id"] == customer
        ]
        for attributes in mine:
            attributes |= {"source": source, "earning_rule_id": None, "revoked_at": shop.now.isoformat()}

        assert shop.sync(models=True).problems == ()

        legs = f"select distinct leg, entry_class from marts.fct_points_ledger where customer_id = {customer}"
        assert sorted(shop.query(legs)) == [("original", entry_class), ("revocation", entry_class)]
        [[issued, balance]] = shop.query(
            f"select points_issued_lifetime, points_balance from marts.dim_member where customer_id = {customer}"
        )
        assert (issued, balance) == (0, 0)
