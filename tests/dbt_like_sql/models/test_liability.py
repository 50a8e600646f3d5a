"""Liability, vintages and revenue of points equal naive computations, and the accounting equals the literature."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pandas as pd
import pytest

from dbt_like_sql.runner.loading import PROJECT
from tests.dbt_like_sql.models.test_spans_and_lots import code
from tests.harness.shop import open_shop

# -- a hand-made ledger: debts, instants at midnight, entries without a customer -----------------------

NEW_YORK = "America/New_York"
ENTRIES = (
    # event, customer, class, amount, time
    (1, 7, "issue_purchase", 100, "2025-01-10T12:00:00-05"),
    (2, 7, "redeem", -150, "2025-02-05T12:00:00-05"),
    (3, 7, "issue_purchase", 80, "2025-03-01T00:00:00-05"),
    (4, None, "issue_manual", 30, "2025-02-28T23:59:59-05"),
    (7, None, "adjust_negative", -5, "2025-02-28T12:00:00-05"),
    (5, 7, "expire", -10, "2026-02-01T12:00:00-05"),
    (6, 7, "issue_action", 5, "2026-03-20T12:00:00-04"),
    (8, 9, "unclassified", 5_000_000_000, "2026-01-20T12:00:00-05"),
)
CODES = (
    # points, value, claimed, used, expires, status
    (100, 5, "2025-02-05T12:00:00-05", None, "2025-04-01T00:00:00-04", "expired"),
    (50, None, "2025-02-05T12:00:00-05", "2025-02-28T23:59:59-05", None, "used"),
    (20, 1, "2026-03-01T12:00:00-05", None, "2026-03-30T12:00:00-04", "open"),
)
Rows = dict[tuple[date, str], dict[str, Any]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """The liability of `ENTRIES` and `CODES`, last synced on 15 March 2026."""
    with duckdb.connect() as connection:
        connection.execute(
            "set timezone = 'UTC'; "
            "create schema staging; create schema intermediate; create schema marts; create schema reports; "
            "create table intermediate.int_clock as select timestamptz '2026-03-15 12:00:00-04' as observed_at, "
            f"'{NEW_YORK}' as timezone, date '2026-03-15' as local_date; "
            "create table staging.stg_rivo__points_events (event_id bigint, sourceable_id text); "
            "create table intermediate.int_ledger_entries (event_id bigint, customer_id bigint, unit text, leg text, "
            "entry_class text, earn_basis text, redemption_id bigint, amount decimal(18, 4), entry_at timestamptz, "
            "entry_date date, is_counted boolean); "
            "create view marts.fct_points_ledger as from intermediate.int_ledger_entries; "
            "create table marts.fct_redemption (points_spent bigint, credits_spent decimal(18, 4), "
            "redemption_value decimal(18, 4), claimed_at timestamptz, used_at timestamptz, expires_at timestamptz, "
            "revoked_at timestamptz, refunded_at timestamptz, status text, claim_date date)"
        )
        for event, customer, entry_class, amount, at in ENTRIES:
            basis = {"issue_purchase": "purchase", "issue_action": "non_purchase", "issue_manual": "manual"}
            connection.execute(
                "insert into intermediate.int_ledger_entries values (?, ?, 'points', 'original', ?, ?, null, ?, "
                f"?::timestamptz, (?::timestamptz at time zone '{NEW_YORK}')::date, true)",
                [event, customer, entry_class, basis.get(entry_class), amount, at, at],
            )
        for points, value, claimed, used, expires, status in CODES:
            connection.execute(
                "insert into marts.fct_redemption values (?, 0, ?, ?::timestamptz, ?::timestamptz, ?::timestamptz, "
                f"null, null, ?, (?::timestamptz at time zone '{NEW_YORK}')::date)",
                [points, value, claimed, used, expires, status, claimed],
            )
        connection.execute(
            "create table marts.dim_date as select month_start::date as month_start from "
            "unnest(generate_series(date '2025-01-01', date '2026-03-01', interval 1 month)) as m (month_start)"
        )
        for table in (
            "intermediate.int_points_allocations",
            "intermediate.int_returned_lots",
            "intermediate.int_points_vintage_changes",
            "reports.rpt_points_rollforward",
            "reports.rpt_points_liability",
        ):
            connection.execute(f"create table {table} as {code(table.partition('.')[2])}")
        cursor = connection.execute("from reports.rpt_points_liability")
        names = [column[0] for column in cursor.description]
        found = [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]
    return {(row["month"], row["earn_basis"]): row for row in found}


def test_debit_beyond_all_credits_is_unallocated_until_a_later_credit_meets_it(rows: Rows) -> None:
    february, march = date(2025, 2, 1), date(2025, 3, 1)
    assert rows[february, "purchase"]["outstanding"] == 0
    assert rows[february, "(no_basis)"]["unallocated_debits"] == -50
    assert rows[march, "purchase"]["outstanding"] == 30
    assert rows[march, "(no_basis)"]["unallocated_debits"] == 0


def test_entries_without_a_customer_are_outstanding_without_a_basis(rows: Rows) -> None:
    assert rows[date(2025, 2, 1), "(no_basis)"]["outstanding"] == 30 - 5
    assert (date(2025, 2, 1), "manual") not in rows


def test_entry_of_the_current_month_dated_after_now_is_outstanding(rows: Rows) -> None:
    assert rows[date(2026, 3, 1), "non_purchase"]["outstanding"] == 5
    assert not rows[date(2026, 3, 1), "non_purchase"]["is_complete"]
    assert rows[date(2026, 3, 1), "non_purchase"]["as_of"] == date(2026, 3, 15)


def test_code_is_open_until_the_last_instant_before_it_ends(rows: Rows) -> None:
    def open_rewards(year: int, month: int) -> tuple[int, Decimal]:
        row = rows[date(year, month, 1), "(no_basis)"]
        return row["open_rewards"], row["open_reward_value"]

    assert open_rewards(2025, 1) == (0, 0)
    # The code used in the month's last second is closed; the one that expires at midnight is open at the month's end.
    assert open_rewards(2025, 2) == open_rewards(2025, 3) == (1, 5)
    assert open_rewards(2025, 4) == (0, 0)
    # A code that expires later this month is open now.
    assert open_rewards(2026, 3) == (1, 1)


def test_billions_of_points_have_a_face_value(rows: Rows) -> None:
    row = rows[date(2026, 1, 1), "unknown"]
    assert (row["outstanding"], row["face_value"]) == (5_000_000_000, 250_000_000)


def test_value_per_point_is_that_of_the_last_twelve_months(rows: Rows) -> None:
    values = {
        month: rows[month, "purchase"]["value_per_point"]
        for month in (
            date(2025, 1, 1),
            date(2025, 2, 1),
            date(2026, 1, 1),
            date(2026, 2, 1),
            date(2026, 3, 1),
        )
    }
    assert list(values.values()) == [None, Decimal("0.05"), Decimal("0.05"), None, Decimal("0.05")]
    row = rows[date(2026, 1, 1), "purchase"]
    assert (row["points_valued_12m"], row["points_redeemed_12m"]) == (100, 150)
    assert row["known_value_share"] == pytest.approx(2 / 3)
    assert (row["face_value"], row["outstanding_unvalued"]) == (Decimal("1.5"), 0)
    row = rows[date(2026, 2, 1), "purchase"]
    assert (row["face_value"], row["outstanding_unvalued"]) == (None, 20)


def test_redemption_probability_needs_vintages_older_than_a_year(rows: Rows) -> None:
    found = {
        month: row["redemption_probability"] for (month, basis), row in rows.items() if basis == "purchase"
    }
    assert all(value is None for month, value in found.items() if month < date(2026, 1, 1))
    # Of March 2025, 10 have expired; but until the end of March 2026 a part of it is younger than a year.
    assert found[date(2026, 1, 1)] == found[date(2026, 3, 1)] == 1


# -- accounting ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def revenue() -> ModuleType:
    path = PROJECT / "models/reports/rpt_points_revenue.py"
    module = ModuleType(path.stem)
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    return module


def test_recognised_revenue_equals_the_examples_of_the_ifrs_15_handbook(revenue: ModuleType) -> None:
    second_year = revenue.recognised_to_date(9000, 4500, 9700)
    third_year = revenue.recognised_to_date(9000, 8500, 9900)
    assert round(float(second_year)) == 4175
    assert round(float(third_year - second_year)) == 3552
    assert round(float(9000 - third_year)) == 1273
    # Example 10B: fewer redemptions are expected instead.
    assert round(float(revenue.recognised_to_date(9000, 8500, 9200) - second_year)) == 4140


@pytest.mark.parametrize(
    ("issued", "redeemed", "expired", "probability", "expected"),
    [
        (10_000, 4500, 0, 0.97, 9700),
        (10_000, 9800, 0, 0.97, 9800),
        (10_000, 4500, 5000, 0.97, 5000),
        (10_000, 4500, 5500, 0.97, 4500),
        (0, 0, 0, 0.97, 0),
    ],
)
def test_expected_redemptions_lie_between_those_made_and_those_possible(
    revenue: ModuleType, issued: int, redeemed: int, expired: int, probability: float, expected: int
) -> None:
    assert revenue.expected_redemptions(issued, redeemed, expired, probability) == expected


def test_nothing_is_deferred_once_no_redemption_is_expected(revenue: ModuleType) -> None:
    assert revenue.recognised_to_date(9000, 0, 0) == 9000


def _inputs(probabilities: list[float | None]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return 10,000 points worth 9,000, of which 4,500 and then 4,000 are redeemed, and the liability."""
    months = [pd.Timestamp(2025, number, 1) for number in (1, 2, 3)]
    changes = pd.DataFrame(
        {
            "unit": "points",
            "earn_basis": "purchase",
            "issue_month": months[0],
            "month": months,
            "issued": [10_000.0, 0, 0],
            "returned": 0.0,
            "redeemed": [0.0, 4500, 4000],
            "expired": 0.0,
            "reversed": 0.0,
        }
    )
    liability = pd.DataFrame(
        {
            "month": months,
            "as_of": [pd.Timestamp(2025, 1, 31), pd.Timestamp(2025, 2, 28), pd.Timestamp(2025, 3, 10)],
            "unit": "points",
            "earn_basis": "(no_basis)",
            "value_per_point": [None, 0.9, 0.7],
            "redemption_probability": probabilities,
            "is_complete": [True, True, False],
        }
    )
    return changes, liability


def test_changed_expectation_is_caught_up_in_the_month_in_which_it_changes(revenue: ModuleType) -> None:
    rows = revenue.model(*_inputs([0.97, 0.97, 0.99]))
    assert rows["allocated_value"].tolist() == [9000, 9000, 9000]
    assert rows["revenue"].round().tolist() == [0, 4175, 3552]
    assert rows["deferred_balance"].round().tolist() == [9000, 4825, 1273]
    assert revenue.model(*_inputs([0.97, 0.97, 0.92]))["revenue"].round().tolist() == [0, 4175, 4140]


def test_all_points_are_expected_to_be_redeemed_until_there_is_evidence(revenue: ModuleType) -> None:
    rows = revenue.model(*_inputs([None, None, None]))
    assert rows["points_expected"].tolist() == [10_000, 10_000, 10_000]
    assert rows["revenue"].tolist() == [0, 4050, 3600]


def test_revenue_of_a_shop_without_points_has_no_rows(revenue: ModuleType) -> None:
    changes, liability = _inputs([None, None, None])
    assert revenue.model(changes.iloc[:0], liability.iloc[:0]).empty


def test_event_of_a_wrong_year_leaves_the_reports_complete(tmp_path: Path) -> None:
    models = "+rpt_points_liability +rpt_points_vintage +rpt_points_revenue +rpt_expiry_forecast"
    with open_shop(tmp_path / "rivo.duckdb", selection=models) as shop:
        first, second = shop.lists["points_events"][:2]
        first["attributes"]["applied_at"] = "0001-01-02T00:00:00Z"
        second["attributes"]["applied_at"] = "9999-12-30T00:00:00Z"

        finished = shop.sync(models=True)

        assert finished.problems == ()
        for report, column in (("liability", "month"), ("vintage", "issue_month"), ("revenue", "month")):
            [(months, last)] = shop.query(
                f"select count(distinct {column}), max({column}) from reports.rpt_points_{report}"
            )
            assert 1 < months < 30, report
            # Of a month that has not begun, nothing is known yet but what is outstanding.
            assert (last == date(9999, 12, 1)) == (report == "liability"), report
