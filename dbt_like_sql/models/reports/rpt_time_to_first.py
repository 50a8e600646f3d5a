"""Kaplan-Meier estimates of how long new members take to earn, to redeem and to order again."""

from __future__ import annotations

import pandas as pd

HORIZONS = (30, 90, 180)
"""Days after joining for which a share is estimated."""
COLUMNS = ("join_quarter", "event", "members", "events", "censored", "longest_follow_up", "km_median_days")
BY_HORIZON = ("km_share", "at_risk")
_ROUNDING = 1e-9
"""Largest error of a product of fractions."""


def kaplan_meier(times: pd.DataFrame) -> pd.DataFrame:
    """Estimate a survival curve from right-censored times (Kaplan and Meier 1958).

    `times` has the columns days, is_observed (False if the time is censored) and members. The result is indexed by day
    and has the members at risk, the events, and the share without the event after that day. Members who are censored
    on a day are at risk on it.
    """
    events = times["members"].where(times["is_observed"], 0)
    counts = pd.DataFrame({"days": times["days"], "members": times["members"], "events": events})
    by_day = counts.groupby("days").sum().sort_index()
    at_risk = by_day["members"][::-1].cumsum()[::-1]
    survival = (1 - by_day["events"] / at_risk).cumprod()
    return pd.DataFrame({"at_risk": at_risk, "events": by_day["events"], "survival": survival})


def median_days(curve: pd.DataFrame) -> int | None:
    """Return the first day by which half of the members had the event; None if the curve stays above one half."""
    days = curve.index[curve["survival"] <= 0.5 + _ROUNDING]
    return int(days[0]) if len(days) else None


def share_within(curve: pd.DataFrame, days: int, longest_follow_up: int) -> float | None:
    """Return the share of members with the event within a number of days.

    None if no member was followed for that long, or if the curve ends before with members who were censored.
    """
    if longest_follow_up < days:
        return None
    until = curve["survival"][curve.index <= days]
    if not len(until):
        return 0.0
    last = float(until.iloc[-1])
    return None if curve.index[-1] < days and last > 0 else 1 - last


def model(int_times_to_first: pd.DataFrame) -> pd.DataFrame:
    """Return one row per quarter of joining and event."""
    rows = []
    for (quarter, event), times in int_times_to_first.groupby(["join_quarter", "event"], sort=True):
        curve = kaplan_meier(times)
        members, events = int(times["members"].sum()), int(curve["events"].sum())
        longest = int(times["longest_follow_up"].max())
        row = {
            "join_quarter": quarter,
            "event": event,
            "members": members,
            "events": events,
            "censored": members - events,
            "longest_follow_up": longest,
            "km_median_days": median_days(curve),
        }
        for days in HORIZONS:
            row[f"km_share_{days}d"] = share_within(curve, days, longest)
            row[f"at_risk_{days}d"] = int(times["members"][times["days"] >= days].sum())
        rows.append(row)
    return pd.DataFrame(
        rows, columns=[*COLUMNS, *(f"{name}_{days}d" for days in HORIZONS for name in BY_HORIZON)]
    )
