"""What happened since the last tick of a sensor: points earned, points redeemed, VIP tiers changed.

New rows are counted by the staging models, so that the sign of points and credits has one definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache, partial

import duckdb

from dbt_like_sql.runner import Model, Project, load_project
from pipelines.load.recent_events import load_recent_rows
from pipelines.settings import Settings
from pipelines.sql import scalar
from pipelines.warehouse import RAW, Warehouse


@dataclass(frozen=True)
class Trigger:
    """One of the integration's triggers: the rows of a staging model that mean that it happened.

    `condition`, `points` and `credits` are SQL over the columns of the model `stg_rivo__<list>`.
    """

    list: str
    id: str
    condition: str
    points: str
    credits: str


POINTS_EARNED = Trigger(
    "points_events",
    "event_id",
    "points_diff > 0 or (points_diff = 0 and credits_diff > 0)",
    "points_diff",
    "credits_diff",
)
POINTS_REDEEMED = Trigger("points_redemptions", "redemption_id", "true", "points_spent", "credits_spent")
TIER_REWARDED = Trigger(
    "points_events", "event_id", "contains(source, 'vip_tier')", "points_diff", "credits_diff"
)
"""An upgrade that Rivo rewards with points: between two syncs, the only sign of a tier change."""


@dataclass(frozen=True)
class RecentEvents:
    """The new rows of a trigger: how many, whose, how much, and the size of the read."""

    events: int
    members: int
    points: int
    credits: Decimal
    ids: Sequence[int]
    last_id: int
    """The id after which the next read begins."""
    has_more: bool
    requests: int
    rows_loaded: int
    """Rows of the list that were added to the recent-events file, whether they meet the condition or not."""


@dataclass(frozen=True)
class TierMove:
    """A tier change that a sync found: a row of `marts.fct_tier_change`."""

    customer_id: int
    to_tier_id: int | None
    direction: str
    """'upgrade', 'downgrade', 'lateral', 'enter' or 'leave'."""
    changed_after: datetime


@dataclass(frozen=True)
class TierChanges:
    """Tier changes that syncs found."""

    moves: Sequence[TierMove]
    observed_at: datetime | None
    """The last observation of tiers, after which the next look begins."""


def recent_events(settings: Settings, warehouse: Warehouse, trigger: Trigger, since_id: int) -> RecentEvents:
    """Read the rows after `since_id`, load them into the recent-events file, and count those of the trigger.

    Raises:
        ApiError, ListError: the rows cannot be read.
        WarehouseError: the recent-events file cannot be written.
    """
    count = partial(_count, trigger=trigger, since_id=since_id)
    read = load_recent_rows(settings, warehouse, trigger.list, since_id, count)
    events, members, points, credits, ids = read.counted or (0, 0, 0, Decimal(0), [])
    return RecentEvents(
        events, members, points, credits, ids, read.last_id, read.has_more, read.requests, read.rows_loaded
    )


def tier_changes(warehouse: Warehouse, since: datetime | None) -> TierChanges:
    """Return the tier changes that syncs observed after `since`; with None, only where to begin.

    Raises:
        WarehouseError: the warehouse is not there.
    """
    with warehouse.read() as connection:
        try:
            latest = scalar(
                connection,
                f"select max(observed_at) from {RAW}.sync_log where list = 'customers' and complete",
            )
            moves = connection.execute(
                "select customer_id, to_tier_id, direction, changed_after from marts.fct_tier_change "
                "where changed_by > ? order by changed_by, customer_id",
                [since],
            ).fetchall()
        except duckdb.CatalogException:
            return TierChanges((), since)
    return TierChanges([TierMove(*move) for move in moves], latest)


def _count(
    connection: duckdb.DuckDBPyConnection, trigger: Trigger, since_id: int
) -> tuple[int, int, int, Decimal, list[int]]:
    model = _project().node(f"stg_rivo__{trigger.list}")
    assert isinstance(model, Model)
    row = connection.execute(
        f"""
        select
            count(*),
            count(distinct customer_id),
            coalesce(sum(abs({trigger.points})), 0)::bigint,
            coalesce(sum(abs({trigger.credits})), 0)::decimal(18, 4),
            coalesce(list({trigger.id} order by {trigger.id}), [])
        from ({model.code})
        where {trigger.id} > ? and ({trigger.condition})
        """,
        [since_id],
    ).fetchone()
    assert row is not None
    return row


@cache
def _project() -> Project:
    return load_project()
