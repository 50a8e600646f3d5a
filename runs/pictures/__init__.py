"""Pictures of reports: the same drawings for the tables' pages in Dagster, the report page and the documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb

from runs.pictures import members, points, tiers
from runs.pictures.output import PALETTE, Picture, page_css

__all__ = ["PALETTE", "PICTURES", "Picture", "page_css", "picture", "pictures", "rows", "tier_order"]

_MIGRATION = """
    select *
    from reports.rpt_tier_migration
    where period_type = 'to_date' or (period_type = 'month' and is_complete)
    -- The last complete month, or the whole history if no month is complete yet.
    qualify dense_rank() over (order by period_type = 'to_date', period_start desc) = 1
"""
_DISTRIBUTION = """
    select local_day, state, tier_id, members
    from reports.rpt_tier_distribution
    qualify dense_rank() over (order by local_day desc) <= 366
    order by local_day
"""
_RATES = """
    select period_start, points_burn_ratio, member_redemption_rate
    from reports.rpt_redemption_rates
    where period_type = 'week' and segment = 'all' and is_complete
    qualify row_number() over (order by period_start desc) <= 53
    order by period_start
"""
_OUTSTANDING = """
    select month, points_outstanding
    from reports.rpt_program_monthly
    qualify row_number() over (order by month desc) <= 25
    order by month
"""
_ROLLFORWARD = """
    select
        month,
        issue_purchase as purchases,
        issue_action + issue_referral + issue_tier + issue_manual as other_earnings,
        issue_import as imports,
        redeem + redeem_return as redeemed,
        expire as expired,
        issue_reversal + adjust_negative + unclassified as other_changes
    from reports.rpt_points_rollforward
    where unit = 'points' and is_complete
    qualify row_number() over (order by month desc) <= 25
    order by month
"""
_VINTAGE = """
    select issue_month, issued, redeemed, expired, reversed, remaining
    from reports.rpt_points_vintage
    where unit = 'points'
    qualify row_number() over (partition by issue_month order by age_months desc) = 1
        and dense_rank() over (order by issue_month desc) <= 25
    order by issue_month
"""
_FUNNEL = """
    select
        min(join_month) as from_month,
        max(join_month) as to_month,
        sum(joined)::bigint as joined,
        sum(first_earn)::bigint as first_earn,
        sum(first_redeem)::bigint as first_redeem,
        sum(first_use)::bigint as first_use,
        sum(second_redeem)::bigint as second_redeem
    from (select * from reports.rpt_member_funnel order by join_month desc limit 13)
"""
_RETENTION = """
    select join_month, months_since, cohort_size, earner_share
    from reports.rpt_member_cohort_retention
    where months_since <= 12 and is_complete
    qualify dense_rank() over (order by join_month desc) <= 13
"""

PICTURES: dict[str, tuple[str, Callable[[Any, list[int]], Picture | None]]] = {
    "reports.rpt_tier_migration": (
        _MIGRATION,
        lambda found, order: tiers.migration(tiers.matrix(found, order)),
    ),
    "reports.rpt_tier_distribution": (_DISTRIBUTION, tiers.distribution),
    "reports.rpt_redemption_rates": (_RATES, lambda found, _: points.rates(found, unit="week")),
    "reports.rpt_program_monthly": (_OUTSTANDING, lambda found, _: points.outstanding(found)),
    "reports.rpt_points_rollforward": (_ROLLFORWARD, lambda found, _: points.rollforward(found)),
    "reports.rpt_points_vintage": (_VINTAGE, lambda found, _: points.vintage(found)),
    "reports.rpt_member_funnel": (_FUNNEL, lambda found, _: members.funnel(found[0])),
    "reports.rpt_member_cohort_retention": (_RETENTION, lambda found, _: members.cohort_retention(found)),
}
"""By table, the query of its picture, and the function that draws its rows (given the order of the tiers too).

The query reads the table itself, and nothing that is built after it."""


def picture(connection: duckdb.DuckDBPyConnection, relation: str) -> Picture | None:
    """Draw the picture of a table; None if it has none, or no rows to draw yet."""
    if relation not in PICTURES:
        return None
    query, draw = PICTURES[relation]
    return draw(rows(connection, query), tier_order(connection))


def pictures(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the pictures of a published file as SVG, by table; without tables that do not exist yet."""
    found = {}
    for relation in PICTURES:
        try:
            drawn = picture(connection, relation)
        except (duckdb.CatalogException, duckdb.BinderException):
            continue
        if drawn:
            found[relation] = drawn.svg(relation.replace(".", "-"))
    return found


def tier_order(connection: duckdb.DuckDBPyConnection) -> list[int]:
    """Return the ids of the present tiers, from the highest to the lowest."""
    return [
        row["tier_id"]
        for row in rows(
            connection,
            "select tier_id from marts.dim_tier where is_current order by tier_rank desc, tier_id desc",
        )
    ]


def rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query, each as a dict by column."""
    found = connection.execute(sql)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
