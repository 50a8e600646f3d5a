"""The estimator of Kaplan and Meier against published values, and against a mean that ignores censored members."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest

from dbt_like_sql.models.reports.rpt_time_to_first import kaplan_meier, median_days, model, share_within

# Weeks of remission of acute leukaemia, with 6-mercaptopurine and with a placebo; '+' is still in remission.
# Freireich et al., Blood 21 (1963); as in Gehan, Biometrika 52 (1965).
TREATED = "6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+"
PLACEBO = "1 1 2 2 3 4 4 5 5 8 8 8 8 11 11 12 12 15 17 22 23"


def times(rows: Iterable[tuple[int, bool]]) -> pd.DataFrame:
    """Return one row per member, as the model's input would be without any two alike."""
    return pd.DataFrame(
        [(days, is_observed, 1) for days, is_observed in rows], columns=["days", "is_observed", "members"]
    )


def parsed(text: str) -> pd.DataFrame:
    return times((int(time.rstrip("+")), not time.endswith("+")) for time in text.split())


def test_survival_of_treated_patients_is_the_published_one() -> None:
    curve = kaplan_meier(parsed(TREATED))

    published = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448, 35: 0.448}
    assert {day: round(curve["survival"][day], 3) for day in published} == published
    at_risk = {6: 21, 7: 17, 10: 15, 13: 12, 16: 11, 22: 7, 23: 6}
    assert {day: curve["at_risk"][day] for day in at_risk} == at_risk
    assert median_days(curve) == 23


def test_survival_without_censoring_is_the_share_that_is_left() -> None:
    curve = kaplan_meier(parsed(PLACEBO))

    assert median_days(curve) == 8
    assert curve["survival"][8] == pytest.approx(8 / 21)
    assert curve["survival"][23] == pytest.approx(0)


def test_members_counted_together_give_the_same_curve() -> None:
    single = parsed(TREATED)
    counted = single.groupby(["days", "is_observed"], as_index=False).sum()

    assert len(counted) < len(single)
    pd.testing.assert_frame_equal(kaplan_meier(counted), kaplan_meier(single))


def test_median_is_the_day_on_which_exactly_half_have_the_event() -> None:
    assert median_days(kaplan_meier(times([(3, True), (5, True), (9, True), (11, True)]))) == 5
    assert median_days(kaplan_meier(times([(3, True), (5, False), (9, False), (11, False)]))) is None


def test_share_is_unknown_where_no_member_was_followed() -> None:
    curve = kaplan_meier(parsed(TREATED))

    assert share_within(curve, 5, longest_follow_up=35) == 0
    assert share_within(curve, 23, longest_follow_up=35) == pytest.approx(1 - 0.4482, abs=1e-4)
    assert share_within(curve, 35, longest_follow_up=35) == pytest.approx(1 - 0.4482, abs=1e-4)
    assert share_within(curve, 36, longest_follow_up=35) is None
    # A member followed for longer had the event early: of the others nothing is known after 35.
    assert share_within(curve, 36, longest_follow_up=60) is None


def test_share_is_one_after_all_had_the_event_but_only_as_far_as_they_were_followed() -> None:
    curve = kaplan_meier(times([(2, True), (4, True)]))

    assert share_within(curve, 30, longest_follow_up=60) == 1
    assert share_within(curve, 90, longest_follow_up=60) is None


def test_median_is_right_where_the_mean_of_completed_members_is_not() -> None:
    """In a growing programme most members are young, so that only the fast ones can have redeemed by now."""
    random = np.random.default_rng(7)
    members = 100_000
    needed = random.exponential(300 / np.log(2), members)
    followed = random.exponential(60, members)
    days = np.floor(np.minimum(needed, followed)).astype(int)
    is_observed = needed <= followed

    assert np.median(needed) == pytest.approx(300, rel=0.02)
    assert days[is_observed].mean() == pytest.approx(53, abs=1)
    assert median_days(kaplan_meier(times(zip(days, is_observed, strict=True)))) == pytest.approx(
        300, rel=0.05
    )


def test_model_of_no_members_has_its_columns() -> None:
    empty = model(
        pd.DataFrame(columns=["join_quarter", "event", "days", "is_observed", "longest_follow_up", "members"])
    )

    assert len(empty) == 0
    assert {"join_quarter", "event", "km_median_days", "km_share_180d", "at_risk_30d"} <= set(empty.columns)
