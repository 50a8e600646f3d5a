"""Every number of the report page equals a query on the published file."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.errors import RivoError
from pipelines.warehouse import Warehouse
from runs.report.writing import write_report
from runs.shop import Shop
from tests.dbt_like_sql.models.stores import question_warehouse
from tests.harness.report_page import ReportPage, read_page
from tests.harness.settings import make_settings

# A figure's name, its value: asked in other words than the page's own queries.
_PROGRAM = """
    with months as (
        select program.*, rates.member_redemption_rate
        from reports.rpt_program_monthly as program
        left join reports.rpt_redemption_rates as rates
            on rates.period_type = 'month' and rates.segment = 'all' and rates.period_start = program.month
    )
"""
_TILES = {
    "members": "members_end",
    "active_rate": "active_90d / members_end",
    "burn_ratio": "points_redeemed / points_issued",
    "member_redemption_rate": "member_redemption_rate",
    "points_outstanding": "points_outstanding",
    "value_used": "value_used",
}
_SHARES = ("active_rate", "burn_ratio", "member_redemption_rate")
_ADDS_UP = ("burn_ratio", "member_redemption_rate", "value_used")
RUNNING = "2026-10-01"
_NOTES = {
    "tile.active_rate.active_90d": "select active_90d from reports.rpt_program_monthly where month = $month",
    "tile.burn_ratio.points_redeemed": "select points_redeemed from reports.rpt_program_monthly where month = $month",
    "tile.burn_ratio.points_issued": "select points_issued from reports.rpt_program_monthly where month = $month",
    "tile.member_redemption_rate.redeeming_members": """
        select redeeming_members from reports.rpt_redemption_rates
        where period_type = 'month' and segment = 'all' and period_start = $month""",
    "tile.points_outstanding.face_value": """
        select sum(face_value) from reports.rpt_points_liability where unit = 'points' and month = $month""",
    "tile.points_outstanding.value_per_point": """
        select any_value(value_per_point) from reports.rpt_points_liability where unit = 'points' and month = $month""",
    "tile.value_used.codes_used": "select sum(codes_used) from reports.rpt_reward_cost where month = $month",
    "tile.value_used.codes_used_unvalued": """
        select nullif(sum(codes_used_unvalued), 0) from reports.rpt_reward_cost where month = $month""",
    "trust.checks": "select count(*) from reports.rpt_data_trust",
    "trust.attention": """
        select nullif(count(*), 0) from reports.rpt_data_trust where status not in ('ok', 'note')""",
    "referrals.created": "select created from reports.rpt_referral_funnel where month = $month",
    "referrals.blocked": "select blocked from reports.rpt_referral_funnel where month = $month",
    "referrals.claimed": "select claimed from reports.rpt_referral_funnel where month = $month",
    "referrals.completed": "select completed from reports.rpt_referral_funnel where month = $month",
    "referrals.suspicious": """
        select nullif(count(*) filter (where is_suspicious), 0) from reports.rpt_referral_quality""",
}
_TABLES = {
    # One query a table: the first column is the key of the row, the others are its figures by name.
    "month": """
        select month, points_issued, points_redeemed, points_expired, points_outstanding,
            points_redeemed / nullif(points_issued, 0) as points_burn_ratio, members_end, member_redemption_rate
        from months where month <= $month and month > $month - interval 13 month""",
    "tier": """
        select coalesce(tier_id::varchar, state), end_members as members, end_members - start_members as change,
            upgraded_out as rose, downgraded_out as fell, retention_rate_same as kept
        from reports.rpt_tier_movement where month = $month""",
    "reward": """
        select reward_id, claims, used, points_spent, value_claimed
        from reports.rpt_reward_performance where month = $month and claims > 0
        order by claims desc, points_spent desc, reward_name limit 5""",
    "earning": """
        select coalesce(earning_rule_id::varchar, source), events, points_issued, share_of_points as share
        from reports.rpt_earning_rule_performance where month = $month
        order by points_issued desc, rule_title limit 5""",
    "segment": """
        select comparison || '.' || coalesce(segment_tier_id::varchar, segment), customers,
            buyers / customers as buyer_share, orders, spent / nullif(orders, 0) as aov,
            spent / customers as spent_per_customer
        from reports.rpt_segment_performance where month = $month""",
    "matrix": """
        with cells as (
            select coalesce(from_tier_id::varchar, from_state) as row, coalesce(to_tier_id::varchar, to_state) as col,
                members, share
            from reports.rpt_tier_migration where period_type = 'month' and period_start = $month
        )
        select row || '.' || col as cell, members, share from cells
        union all select row || '.total', sum(members), null from cells group by row
        union all select 'total.' || col, sum(members), null from cells group by col""",
}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return question_warehouse(tmp_path_factory)


@pytest.fixture(scope="module")
def shop(warehouse: Path) -> Shop:
    return Shop(make_settings(api_key="k", currency="EUR"), Warehouse(warehouse), is_demo=False)


@pytest.fixture(scope="module", params=["2026-09", "2026-10"], ids=["complete", "running"])
def month(request: pytest.FixtureRequest) -> str:
    return f"{request.param}-01"


@pytest.fixture(scope="module")
def page(shop: Shop, month: str, tmp_path_factory: pytest.TempPathFactory) -> ReportPage:
    path = tmp_path_factory.mktemp("page") / "report.html"
    return read_page(write_report(shop, month=date.fromisoformat(month), path=path))


def expected(path: Path, month: str) -> dict[str, Any]:
    """Return the value of each figure by its name, from queries on the file."""
    found: dict[str, Any] = {}
    with duckdb.connect(str(path), read_only=True) as connection:

        def ask(sql: str) -> list[tuple]:
            parameters = {"month": month} if "$month" in sql else None
            return connection.execute(sql.replace("$month", "$month::date"), parameters).fetchall()

        for name, sql in _NOTES.items():
            [[found[name]]] = ask(sql) or [(None,)]
        for name, formula in _TILES.items():
            back = [
                ask(f"{_PROGRAM} select {formula} from months where month = $month - interval {months} month")
                for months in (0, 1, 12)
            ]
            if month == RUNNING and name in _ADDS_UP:
                # Its first days do not compare with whole months.
                back[1:] = [[], []]
            now, before, year = (rows[0][0] if rows else None for rows in back)
            found[f"tile.{name}"] = now
            for label, then in (("month", before), ("year", year)):
                if now is not None and then is not None and (then or name in _SHARES):
                    change = now - then
                    found[f"tile.{name}.{label}"] = change if name in _SHARES else change / abs(then)
        for table, sql in _TABLES.items():
            cursor = connection.execute(
                f"{_PROGRAM if 'months' in sql else ''} {sql.replace('$month', '$month::date')}",
                {"month": month},
            )
            columns = [column[0] for column in cursor.description or ()][1:]
            for key, *values in cursor.fetchall():
                for column, value in zip(columns, values, strict=True):
                    found[".".join(filter(None, (table, str(key), column)))] = value
    return {name: value for name, value in found.items() if value is not None}


def test_page_shows_each_figure_with_the_value_of_a_query(
    page: ReportPage, warehouse: Path, month: str
) -> None:
    asked = expected(warehouse, month)
    shown = {name: value for name, value in page.numbers.items() if not name.startswith("todo.")}

    assert shown.keys() == asked.keys()
    assert {
        name: value
        for name, value in shown.items()
        if abs(value - Decimal(str(asked[name]))) > Decimal("1e-9")
    } == {}


def test_items_to_do_count_the_rows_of_their_queries(page: ReportPage, warehouse: Path) -> None:
    titles = {
        "expiring_customer": "Points expiring",
        "expiring_entry": "Points expiring, by date earned",
        "near_next_tier": "Close to a tier",
        "tier_at_risk": "About to lose a tier",
        "win_back": "Win back",
        "never_redeemed": "Never redeemed",
        "codes_ending": "Codes about to end",
    }
    totals = {
        "expiring_customer": "points",
        "expiring_entry": "points",
        "win_back": "reactivation_points",
        "never_redeemed": "balance",
        "codes_ending": "redemption_value",
    }
    shown = {name: value for name, value in page.numbers.items() if name.startswith("todo.")}

    asked: dict[str, Any] = {}
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for name, title in titles.items():
            if f"todo.{name}" not in shown:
                continue
            asked[f"todo.{name}"] = 0
            # An item without rows has no query.
            if title in page.queries:
                rows = connection.execute(page.queries[title]).df()
                asked[f"todo.{name}"] = len(rows)
                if name in totals:
                    values = list(rows[totals[name]].dropna())
                    asked[f"todo.{name}.total"] = sum(Decimal(str(value)) for value in values)
                    if len(values) < len(rows):
                        asked[f"todo.{name}.unknown"] = len(rows) - len(values)

    assert {name: Decimal(value) for name, value in asked.items()} == shown
    assert len([value for value in shown.values() if value]) >= 6


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        ("tile.members", ""),
        ("tile.points_outstanding", ","),
        ("tile.value_used", "€"),
        ("tile.burn_ratio", " %"),
    ],
)
def test_numbers_are_shown_for_people(page: ReportPage, figure: str, text: str) -> None:
    shown = page.shown[figure]

    assert text in shown
    assert shown.strip("€ %").replace(",", "").replace(".", "").isdigit()


def test_report_of_an_unknown_month_names_the_known_ones(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(RivoError, match=r"no figures of 2031-05. It has the months from 2024-10 to 2026-10"):
        write_report(shop, month=date(2031, 5, 1), path=tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_report_of_a_month_before_the_first_sync_says_what_is_not_known(shop: Shop, tmp_path: Path) -> None:
    page = read_page(write_report(shop, month=date(2026, 3, 1), path=tmp_path / "report.html"))

    assert "tile.members" not in page.numbers
    assert "known from the first sync on, 31 Jul 2026" in page.sections["Members"]
    assert "Members by tier are known from 31 Jul 2026 on" in page.sections["VIP tiers in March 2026"]
    assert page.numbers["tile.points_outstanding"] > 0


def test_report_page_holds_no_value_of_a_customer(page: ReportPage, warehouse: Path) -> None:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        values = connection.execute("""
            select customer_id::varchar from marts.dim_member
            union all select email from marts.dim_member
            union all select code from marts.fct_redemption
            union all select first_name || ' ' || last_name from rivo_raw.customers
        """).fetchall()

    assert len(values) > 200
    assert [value for (value,) in values if value and value in page.html] == []


def test_report_of_the_running_month_claims_nothing_about_its_end(shop: Shop, tmp_path: Path) -> None:
    page = read_page(write_report(shop, month=date.fromisoformat(RUNNING), path=tmp_path / "report.html"))

    assert "in the programme on 05 Oct 2026" in page.sections["Members"]
    assert "no comparison before the month is over" in page.sections["Rewards used"]
    assert "tier on 05 Oct 2026" in page.sections["Who moved between tiers"]
    assert "31 Oct 2026" not in page.html
