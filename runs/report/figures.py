"""Figures of the report page, read from the published reports: aggregates only, no value of one customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import duckdb

from pipelines.errors import RivoError, command
from runs.pictures import rows, tier_order
from runs.pictures.tiers import Matrix, matrix
from runs.report.to_do import ToDo, to_do

Row = dict[str, Any]
MONTHS = 13
"""Months that the charts show: the chosen one and those before it, so that the same month last year is among them."""
RAMP_UP_MONTHS = 3
"""Months counted as ramp-up from the first redemption on: members must save points before they can redeem."""
LONGEST = 5
"""Rows of the lists of best rewards and ways to earn."""


_NO_MONTH: Row = {
    "is_complete": False,
    **dict.fromkeys(("members_end", "active_rate_90d", "active_90d", "points_burn_ratio")),
    **dict.fromkeys(("points_issued", "points_redeemed", "points_expired", "points_outstanding"), 0),
    **dict.fromkeys(("value_used", "codes_used", "codes_used_unvalued"), 0),
    **dict.fromkeys(("member_redemption_rate", "redeeming_members", "face_value", "value_per_point")),
}
"""The columns that the page reads of a month, where there is none."""


@dataclass(frozen=True)
class Figures:
    """Everything that the page shows, for one month."""

    month: date
    is_complete: bool
    observed_at: datetime
    timezone: str
    today: date
    history_start: date | None
    """Local day of the first complete read of the customers; members are known from it on."""
    now: Row | None
    """Row of rpt_program_monthly that holds the last sync."""
    program: Row
    """Row of rpt_program_monthly, with the rates and values of the other reports."""
    previous: Row
    last_year: Row
    months: Sequence[Row]
    rates: Sequence[Row]
    ramp_up: int
    """Number of months at the start of `rates` that are ramp-up."""
    tiers: Sequence[Row]
    matrix: Matrix | None
    matrix_is_inferred: bool
    tier_ids: Sequence[int]
    to_do: Sequence[ToDo]
    not_known: Sequence[str]
    rewards: Sequence[Row]
    rewards_unclaimed: Sequence[str]
    earning: Sequence[Row]
    earning_unused: Sequence[str]
    referrals: Row | None
    suspicious_advocates: int
    segments: Sequence[Row]
    checks: Mapping[str, int] = field(default_factory=dict)
    """Number of trust checks by status."""
    findings: Sequence[str] = ()


def read_figures(connection: duckdb.DuckDBPyConnection, month: date | None = None) -> Figures:
    """Read the figures of a month; by default the last complete one, or the present one if none is complete.

    Raises:
        RivoError: the warehouse has no figures of that month, or other tables than this release builds.
    """
    try:
        return _figures(connection, month)
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        # DuckDB adds the text of the query, and suggestions.
        missing = str(error).partition("\n")[0].rstrip("!")
        raise RivoError(
            f"The warehouse lacks a table or column that the page shows ({missing}). An earlier release, or a changed "
            f"project, built it. Run `{command()} models build --all`, then this command again."
        ) from None


def _figures(connection: duckdb.DuckDBPyConnection, month: date | None) -> Figures:
    [clock] = rows(connection, "select *, local_date as today from intermediate.int_clock")
    if clock["observed_at"] is None:
        raise RivoError("There is nothing to report yet: no list has been read completely. Run `make sync`.")
    months = rows(connection, "select * from reports.rpt_program_monthly order by month")
    # A shop without members, points and claims has no month.
    months = months or [_NO_MONTH | {"month": clock["today"].replace(day=1)}]
    at = _chosen(months, month)
    program = months[at]
    extra = {row["month"]: row for row in rows(connection, _EXTRA)}
    months = [_NO_MONTH | row | extra.get(row["month"], {}) for row in months]
    by_month = {row["month"]: row for row in months}
    first = next((row["month"] for row in months if row["points_redeemed"] > 0), program["month"])
    rates = [row for row in months[: at + 1] if row["month"] >= first][-2 * MONTHS + 1 :]
    ramp_up_ends = _months_after(first, RAMP_UP_MONTHS)
    tier_ids = tier_order(connection)
    moves, is_inferred = _moves(connection, program["month"])
    to_act, unknown = to_do(connection)
    rewards = _rows_of(connection, _REWARDS, program["month"])
    earning = _rows_of(connection, _EARNING, program["month"])
    return Figures(
        month=program["month"],
        is_complete=program["is_complete"],
        observed_at=clock["observed_at"],
        timezone=clock["timezone"],
        today=clock["today"],
        history_start=clock["history_start_date"],
        now=months[-1] if months[-1]["members_end"] is not None else None,
        program=months[at],
        previous=by_month.get(_months_after(program["month"], -1), {}),
        last_year=by_month.get(_months_after(program["month"], -12), {}),
        months=months[max(0, at + 1 - MONTHS) : at + 1],
        rates=rates,
        ramp_up=sum(row["month"] < ramp_up_ends for row in rates),
        tiers=_rows_of(connection, _TIERS, program["month"])
        or _rows_of(connection, _TIERS_NOW, program["month"]),
        matrix=matrix(moves, tier_ids),
        matrix_is_inferred=is_inferred,
        tier_ids=tier_ids,
        to_do=to_act,
        not_known=unknown,
        rewards=[row for row in rewards if row["claims"]][:LONGEST],
        rewards_unclaimed=[row["reward_name"] for row in rewards if not row["claims"]],
        earning=earning[:LONGEST],
        earning_unused=[row["title"] for row in _rows_of(connection, _EARNING_UNUSED, program["month"])],
        referrals=next(iter(_rows_of(connection, _REFERRALS, program["month"])), None),
        suspicious_advocates=rows(connection, _SUSPICIOUS)[0]["advocates"],
        segments=_rows_of(connection, _SEGMENTS, program["month"]),
        checks={row["status"]: row["checks"] for row in rows(connection, _CHECKS)},
        findings=[row["finding"] for row in rows(connection, _FINDINGS)],
    )


def _chosen(months: Sequence[Row], month: date | None) -> int:
    if month is None:
        complete = [index for index, row in enumerate(months) if row["is_complete"]]
        return complete[-1] if complete else len(months) - 1
    found = [index for index, row in enumerate(months) if row["month"] == month]
    if not found:
        raise RivoError(
            f"The warehouse has no figures of {month:%Y-%m}. "
            f"It has the months from {months[0]['month']:%Y-%m} to {months[-1]['month']:%Y-%m}."
        )
    return found[0]


def _months_after(month: date, count: int) -> date:
    index = month.year * 12 + month.month - 1 + count
    return date(index // 12, index % 12 + 1, 1)


def _rows_of(connection: duckdb.DuckDBPyConnection, query: str, month: date) -> list[Row]:
    """Return the rows of a query about a month."""
    # Not a parameter: to bind one, DuckDB imports pandas, which takes half a second.
    return rows(connection, query.replace("$month", f"date '{month}'"))


def _moves(connection: duckdb.DuckDBPyConnection, month: date) -> tuple[list[Row], bool]:
    """Return the migration rows of a month, and whether they are inferred: from before the first sync."""
    for report, is_inferred in (("rpt_tier_migration", False), ("rpt_tier_migration_inferred", True)):
        query = f"select * from reports.{report} where period_type = 'month' and period_start = $month"
        found = _rows_of(connection, query, month)
        if found:
            return found, is_inferred
    return [], False


# The rates of all members, and the value of the outstanding points, beside the months of rpt_program_monthly.
_EXTRA = """
    select
        months.month,
        months.month as period_start,
        rates.member_redemption_rate,
        rates.redeeming_members,
        worth.face_value,
        worth.value_per_point
    from reports.rpt_program_monthly as months
    left join reports.rpt_redemption_rates as rates
        on rates.period_start = months.month and rates.period_type = 'month' and rates.segment = 'all'
    left join (
        select month, sum(face_value) as face_value, max(value_per_point) as value_per_point
        from reports.rpt_points_liability
        where unit = 'points'
        group by month
    ) as worth on worth.month = months.month
"""
_TIERS = """
    select
        movement.state,
        movement.tier_id,
        movement.end_members as members,
        movement.end_members - movement.start_members as change,
        movement.upgraded_out as rose,
        movement.downgraded_out as fell,
        movement.retention_rate_same as kept
    from reports.rpt_tier_movement as movement
    left join marts.dim_tier as tiers on tiers.tier_id = movement.tier_id and tiers.is_current
    where movement.month = $month
    order by movement.tier_id is null, tiers.tier_rank desc, movement.state
"""
# Where a month has no moves, the members of each tier on its last known day are shown without them.
_TIERS_NOW = """
    select
        days.state,
        days.tier_id,
        days.members,
        null as change,
        null as rose,
        null as fell,
        null as kept
    from reports.rpt_tier_distribution as days
    left join marts.dim_tier as tiers on tiers.tier_id = days.tier_id and tiers.is_current
    where days.state <> 'not_member'
        and days.local_day = (
            select max(local_day) from reports.rpt_tier_distribution where date_trunc('month', local_day) = $month
        )
    order by days.tier_id is null, tiers.tier_rank desc, days.state
"""
_REWARDS = """
    select reward_id, reward_name, claims, used, points_spent, credits_spent, value_claimed, claims_unvalued
    from reports.rpt_reward_performance
    where month = $month
    order by claims desc, points_spent desc, reward_name
"""
_EARNING = """
    select earning_rule_id, source, rule_title as title, events, points_issued, share_of_points
    from reports.rpt_earning_rule_performance
    where month = $month
    order by points_issued desc, rule_title
"""
_EARNING_UNUSED = """
    select distinct rules.current_rule_title as title
    from marts.dim_earning_rule as rules
    where rules.is_current
        and rules.is_active
        and rules.earning_rule_id not in (
            select earning_rule_id
            from reports.rpt_earning_rule_performance
            where month = $month and earning_rule_id is not null
        )
    order by title
"""
_REFERRALS = """
    select created, blocked, ineligible, claimed, completed, claim_rate, completion_rate, median_days
    from reports.rpt_referral_funnel
    where month = $month
"""
_SUSPICIOUS = "select count(*) as advocates from reports.rpt_referral_quality where is_suspicious"
_SEGMENTS = """
    select
        segments.comparison,
        segments.segment,
        segments.segment_tier_id as tier_id,
        segments.customers,
        segments.buyer_share,
        segments.orders,
        segments.aov,
        segments.spent_per_customer
    from reports.rpt_segment_performance as segments
    left join marts.dim_tier as tiers on tiers.tier_id = segments.segment_tier_id and tiers.is_current
    where segments.month = $month
    order by
        array_position(['membership', 'redeemer', 'tier'], segments.comparison),
        segments.segment_tier_id is null,
        tiers.tier_rank desc,
        -- 'member' before 'not_member', 'redeemer' before 'not_redeemer'.
        length(segments.segment),
        segments.segment
"""
_CHECKS = "select status, count(*) as checks from reports.rpt_data_trust group by status"
_FINDINGS = "select finding from reports.rpt_data_trust where status = 'attention' order by check_name"
