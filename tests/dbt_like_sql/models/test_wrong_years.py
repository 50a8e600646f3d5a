"""Events dated 0001 or 9999, as programs write that fill in a date by mistake."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from tests.harness.shop import open_shop


def test_event_of_a_wrong_year_adds_one_day_and_one_month_not_millennia(tmp_path: Path) -> None:
    with open_shop(tmp_path / "rivo.duckdb", selection="+rpt_points_rollforward") as shop:
        first, second = shop.lists["points_events"][:2]
        first["attributes"]["applied_at"] = "0001-01-02T00:00:00Z"
        second["attributes"]["applied_at"] = "9999-12-30T00:00:00Z"

        finished = shop.sync(models=True)

        assert finished.problems == ()
        days = [day for (day,) in shop.query("select date_day from marts.dim_date order by 1")]
        assert (days[0], days[-1]) == (date(1, 1, 2), date(9999, 12, 30))
        assert len(days) < 800
        rows = "select month from reports.rpt_points_rollforward where unit = 'points' order by month"
        months = [month for (month,) in shop.query(rows)]
        assert (months[0], months[-1]) == (date(1, 1, 1), date(9999, 12, 1))
        assert len(months) < 30
        [(closing, total)] = shop.query(
            "select arg_max(closing, month), (select sum(amount) from marts.fct_points_ledger where unit = 'points') "
            "from reports.rpt_points_rollforward where unit = 'points'"
        )
        assert closing == total
