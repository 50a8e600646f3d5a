"""Revenue of points, recognised by the cumulative catch-up method of ASC 606 and IFRS 15.

The method, as in examples 10A and 10B of KPMG's IFRS 15 handbook: part of the price is allocated to the points when
they are issued. Of it, as much is recognised as points have been redeemed of the total that is now expected to be
redeemed. If the expectation changes, the difference is recognised at once, and past months keep their revenue.
"""

from typing import Any

import numpy as np
import pandas as pd

KEY = ["earn_basis", "issue_month", "month"]
AMOUNTS = ["issued", "returned", "redeemed", "expired", "reversed"]
SUMS = [
    "points_issued",
    "points_unvalued",
    "points_redeemed",
    "points_expired",
    "points_expected",
    "allocated_value",
    "deferred_balance",
]


def expected_redemptions(issued: Any, redeemed: Any, expired: Any, probability: Any) -> Any:
    """Return how many of the issued points are expected to be redeemed in total, past and future.

    Numbers or columns. At least those that have been redeemed, and at most those that have not expired.
    """
    return np.minimum(np.maximum(issued * probability, redeemed), issued - expired)


def recognised_to_date(allocated: Any, redeemed: Any, expected: Any) -> Any:
    """Return the part of an allocated price that is recognised once some of the expected points are redeemed.

    Numbers or columns. In the handbook's examples, 9,000 are allocated to 10,000 points. In the second year, 4,500 are
    redeemed of 9,700 expected: 4,175 = 9,000 x 4,500 / 9,700. By the end of the third year (10A), 8,500 are redeemed of
    9,900 now expected: a further 3,552 = 9,000 x 8,500 / 9,900 - 4,175, so 1,273 stay deferred. With 9,200 expected in
    the third year instead (10B), it is a further 4,140 = 9,000 x 8,500 / 9,200 - 4,175.

    If none is expected to be redeemed any more, all is recognised.
    """
    return allocated * np.where(expected > 0, redeemed / np.where(expected > 0, expected, 1.0), 1.0)


def model(int_points_vintage_changes: pd.DataFrame, rpt_points_liability: pd.DataFrame) -> pd.DataFrame:
    """Recognise the value of each month's points as they are redeemed, and sum it per month and way of earning."""
    changes = int_points_vintage_changes.query("unit == 'points'")
    months = rpt_points_liability.query("unit == 'points' and earn_basis == '(no_basis)' and month <= as_of")
    months = months.set_index("month").sort_index()
    # The first known value, for the months before any reward of known value was claimed.
    values = months["value_per_point"].astype("float64").bfill()
    # Without a vintage older than a year there is no evidence that points are left unused.
    probabilities = months["redemption_probability"].astype("float64").fillna(1.0)

    vintages = changes[["earn_basis", "issue_month"]].drop_duplicates()
    grid = vintages.merge(pd.DataFrame({"month": months.index}), how="cross").query("month >= issue_month")
    state = (
        grid.merge(changes[[*KEY, *AMOUNTS]], how="left", on=KEY)
        .fillna(dict.fromkeys(AMOUNTS, 0.0))
        .sort_values(KEY)
    )
    state[AMOUNTS] = state.groupby(["earn_basis", "issue_month"])[AMOUNTS].cumsum()

    issued = state["issued"] - state["reversed"]
    value = state["issue_month"].map(values)
    allocated = issued * value.fillna(0.0)
    expected = expected_redemptions(
        issued, state["redeemed"], state["expired"], state["month"].map(probabilities)
    )
    # Points that came back after a redemption are deferred again, but no price was paid for them twice.
    returned = state["returned"]
    state["points_issued"] = issued - returned
    state["points_unvalued"] = (issued - returned).where(value.isna(), 0.0)
    state["points_redeemed"] = state["redeemed"] - returned
    state["points_expired"] = state["expired"]
    state["points_expected"] = expected - returned
    state["allocated_value"] = allocated - returned * value.fillna(0.0)
    state["deferred_balance"] = allocated - recognised_to_date(allocated, state["redeemed"], expected)

    final = state.groupby(["month", "earn_basis"], as_index=False)[SUMS].sum()
    final[SUMS] = final[SUMS].astype("float64").round(4)
    final["revenue_to_date"] = (final["allocated_value"] - final["deferred_balance"]).round(4)
    before = final.groupby("earn_basis")["revenue_to_date"].shift(fill_value=0.0)
    final["revenue"] = (final["revenue_to_date"] - before).round(4)
    final["is_complete"] = final["month"].map(months["is_complete"]).astype("bool")
    return final
