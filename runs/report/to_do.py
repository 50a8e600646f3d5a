"""The list "To do now" of the report page: members and codes to act on, each with the query that lists them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import duckdb

from runs.pictures import rows

DAYS = 30
"""How far ahead "soon" reaches, in local days after the last sync."""


@dataclass(frozen=True)
class ToDo:
    """Something to act on: how many rows `query` returns, and what they hold together."""

    name: str
    title: str
    text: str
    query: str
    count: int
    total: Decimal | None = None
    """Sum of a column of the query; None if there is none to sum."""
    total_kind: str = "count"
    """'count' or 'money'."""
    total_text: str = ""
    """The end of the text, with {} for the total."""
    unknown: int = 0
    """Rows whose value is not known; they are not in the total."""
    limit: str = ""
    """A sentence on how far the number can be trusted."""


@dataclass(frozen=True)
class _Item:
    name: str
    title: str
    text: str
    query: str
    total_of: str = ""
    total_kind: str = "count"
    total_text: str = ""
    limit: str = ""


_EXPIRING = {
    "customer": (
        "Points expiring",
        "members who lose their balance within 30 days, on the date that Rivo shows for them",
    ),
    "entry": (
        "Points expiring, by date earned",
        "dates of expiry within 30 days, one for the points that a member earned on one day",
    ),
}
_ITEMS = (
    _Item(
        "near_next_tier",
        "Close to a tier",
        "members with at least 90 % of what the next tier needs",
        """select customer_id, current, next, gap
from reports.rpt_near_next_tier
where progress_share >= 0.9
order by gap""",
    ),
    _Item(
        "tier_at_risk",
        "About to lose a tier",
        "members who fall below their tier within 30 days unless they earn points",
        """select customer_id, tier, points_to_keep
from reports.rpt_tier_at_risk
where horizon_days = 30 and is_at_risk
order by points_to_keep""",
    ),
    _Item(
        "win_back",
        "Win back",
        "good members who have gone quiet",
        """select customer_id, tier_name, days_since_order, reactivation_points
from reports.rpt_member_rfm
where is_at_risk
order by reactivation_points desc""",
        "reactivation_points",
        total_text=", with {} points",
    ),
    _Item(
        "never_redeemed",
        "Never redeemed",
        "members who could claim a reward and never did",
        """select customer_id, balance, best_affordable_reward
from reports.rpt_reward_reach
where can_redeem and not has_ever_redeemed
order by balance desc""",
        "balance",
        total_text=", with {} points",
    ),
    _Item(
        "codes_ending",
        "Codes about to end",
        "claimed codes that end unused within 30 days",
        """select codes.redemption_id, codes.customer_id, codes.reward_name, codes.expires_at, codes.redemption_value
from marts.fct_redemption as codes
cross join intermediate.int_clock as clock
where codes.status = 'open' and codes.expires_at <= clock.observed_at + interval 30 day
order by codes.expires_at""",
        "redemption_value",
        "money",
        ", worth {}",
    ),
)
_EMPTY = {
    "near_next_tier": "reports.rpt_near_next_tier",
    "tier_at_risk": "reports.rpt_tier_at_risk",
}
"""Reports that stay empty where progress cannot be measured: then 0 would say too much."""


def to_do(connection: duckdb.DuckDBPyConnection) -> tuple[list[ToDo], list[str]]:
    """Return what there is to act on now, and sentences on what cannot be known yet."""
    unknown = []
    items = list(_expiring(connection))
    if not rows(connection, "select * from reports.rpt_points_expiring limit 1"):
        unknown.append("No points have a date of expiry.")
    has_tiers = rows(connection, "select * from marts.dim_tier limit 1")
    for item in _ITEMS:
        report = _EMPTY.get(item.name)
        if report and not rows(connection, f"select * from {report} limit 1"):
            if has_tiers and report == "reports.rpt_near_next_tier":
                unknown.append(
                    "Who is close to a tier, or about to lose one, is not known: no measure of progress explains the "
                    "tiers that members hold."
                )
            elif has_tiers and not any("close to a tier" in sentence for sentence in unknown):
                unknown.append("No tier is lost with time alone by the measure that explains the tiers held.")
            continue
        items.append(item)
    return [_counted(connection, item) for item in items], unknown


def _expiring(connection: duckdb.DuckDBPyConnection) -> list[_Item]:
    """Return the kinds of expiry to show: the one that past expiry confirms; both if none is confirmed."""
    bases = rows(
        connection,
        """select distinct basis, is_used from reports.rpt_points_expiring where unit = 'points' order by basis""",
    )
    used = [row for row in bases if row["is_used"]]
    return [
        _Item(
            f"expiring_{row['basis']}",
            _EXPIRING[row["basis"]][0],
            _EXPIRING[row["basis"]][1],
            f"""select customer_id, expires_on, points
from reports.rpt_points_expiring
where basis = '{row["basis"]}' and unit = 'points' and days_left <= {DAYS}
order by expires_on""",
            "points",
            total_text=": {} points",
            limit="" if used else "Past expiries do not show which of the two dates applies.",
        )
        for row in used or bases
    ]


def _counted(connection: duckdb.DuckDBPyConnection, item: _Item) -> ToDo:
    column = item.total_of
    sums = f"sum({column}), count(*) - count({column})" if column else "null, 0"
    [(count, total, unknown)] = connection.execute(
        f"select count(*), {sums} from ({item.query}) as listed"
    ).fetchall()
    return ToDo(
        item.name,
        item.title,
        item.text,
        item.query,
        count,
        None if not column else Decimal(total or 0),
        item.total_kind,
        item.total_text,
        unknown,
        item.limit,
    )
