"""Pictures of points: movement and outstanding by month, rates, roll-forward, vintages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from runs.pictures.output import Picture, colour, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = dict[str, Any]
_MARGINS = (0.5, 0.23, 1.05, 0.08)
"""Room for labels such as 300k on the left, and for the names of the lines on the right."""


def movement(months: Sequence[Row]) -> Picture | None:
    """Draw the points issued, redeemed and expired in each month as bars.

    Args:
        months: rows with `month`, `points_issued`, `points_redeemed`, `points_expired`.
    """
    if not any(row[f"points_{kind}"] for row in months for kind in ("issued", "redeemed", "expired")):
        return None
    with drawing(5, 2.6, _MARGINS) as (figure, axes):
        for place, kind in enumerate(("issued", "redeemed", "expired")):
            values = [float(row[f"points_{kind}"]) for row in months]
            at = [index + (place - 1) * 0.27 for index in range(len(months))]
            axes.bar(at, values, width=0.25, color=colour(kind))
        _end_labels(
            axes,
            len(months) - 1 + 0.5,
            # The grey of the bars is too light for text.
            [
                (float(months[-1][f"points_{kind}"]), kind, name)
                for kind, name in (("issued", "soft"), ("redeemed", "redeemed"), ("expired", "expired"))
            ],
        )
        _month_axis(axes, [row["month"] for row in months])
        _counts(axes)
        return Picture(figure, "Points issued, redeemed and expired, by month")


def outstanding(months: Sequence[Row]) -> Picture | None:
    """Draw the points outstanding at the end of each month as a line.

    Args:
        months: rows with `month`, `points_outstanding`.
    """
    if not any(row["points_outstanding"] for row in months):
        return None
    values = [float(row["points_outstanding"]) for row in months]
    with drawing(5, 2.6, _MARGINS) as (figure, axes):
        axes.plot(range(len(months)), values, color=colour("expired"), linewidth=1.8, clip_on=False)
        axes.plot([len(months) - 1], values[-1:], "o", color=colour("expired"), markersize=5, clip_on=False)
        _month_axis(axes, [row["month"] for row in months])
        low, high = axes.get_ylim()
        axes.set_ylim(low if min(values) < 0 else 0.0, max(0.0, high))
        _end_labels(axes, len(months) - 1 + 0.25, [(values[-1], short(values[-1]), "ink")])
        _counts(axes)
        return Picture(figure, "Points outstanding at the end of each month")


def rates(
    periods: Sequence[Row], *, unit: str = "month", ramp_up: int = 0, first_sync: int | None = None
) -> Picture | None:
    """Draw two rates of all members by period: points redeemed for each point issued, and members who redeemed.

    Args:
        periods: rows with `period_start`, `points_burn_ratio`, `member_redemption_rate`; null values are gaps.
        unit: the kind of period, for the text.
        ramp_up: number of periods at the start that are marked as ramp-up.
        first_sync: index of the period from which on members are known; it is marked.
    """
    lines = (("points_burn_ratio", "points", "redeemed"), ("member_redemption_rate", "members", "good"))
    if all(row[column] is None for row in periods for column, *_ in lines):
        return None
    with drawing(5, 2.6, _MARGINS) as (figure, axes):
        from matplotlib.ticker import PercentFormatter

        if ramp_up:
            axes.axvspan(-0.5, ramp_up - 0.5, color=colour("band"))
        ends = []
        for column, label, name in lines:
            values = [float("nan") if row[column] is None else float(row[column]) for row in periods]
            axes.plot(
                range(len(values)),
                values,
                color=colour(name),
                linewidth=1.8,
                marker="o",
                markersize=3,
                clip_on=False,
            )
            if periods[-1][column] is not None:
                ends.append((values[-1], f"{label} {values[-1]:.1%}", name))
        _month_axis(axes, [row["period_start"] for row in periods], days=unit != "month")
        low, high = axes.get_ylim()
        axes.set_ylim(min(0.0, low), high)
        _end_labels(axes, len(periods) - 1 + 0.25, ends)
        top = axes.get_ylim()[1]
        if ramp_up:
            axes.text(-0.4, top, "ramp-up", fontsize=7.5, color=colour("soft"), va="top")
        if first_sync:
            axes.axvline(first_sync - 0.5, color=colour("soft"), linewidth=0.8, linestyle=(0, (3, 3)))
            axes.text(
                first_sync - 0.6, top, "first sync", fontsize=7.5, color=colour("soft"), va="top", ha="right"
            )
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(axis="y", color=colour("grid"), linewidth=0.8)
        return Picture(
            figure, f"Points redeemed for each point issued, and the share of members who redeemed, by {unit}"
        )


def rollforward(months: Sequence[Row]) -> Picture | None:
    """Draw what raised and lowered the outstanding points of each month, as bars above and below zero.

    Args:
        months: rows with `month`, and the points `purchases`, `other_earnings`, `imports`, `redeemed`, `expired` and
            `other_changes`, signed.
    """
    parts = (
        ("purchases", "purchases", "redeemed"),
        ("other_earnings", "other earnings", "good"),
        ("imports", "imports", "issued"),
        ("redeemed", "redeemed", "extra"),
        ("expired", "expired", "expired"),
        ("other_changes", "other changes", "soft"),
    )
    shown = [part for part in parts if any(row[part[0]] for row in months)]
    if not shown:
        return None
    with drawing(6.5, 3.2, (0.55, 0.3, 0.1, 0.6)) as (figure, axes):
        above, below = [0.0] * len(months), [0.0] * len(months)
        for column, label, name in shown:
            values = [float(row[column]) for row in months]
            starts = [(above if value >= 0 else below)[index] for index, value in enumerate(values)]
            axes.bar(range(len(months)), values, bottom=starts, width=0.7, color=colour(name), label=label)
            for index, value in enumerate(values):
                (above if value >= 0 else below)[index] += value
        axes.axhline(0, color=colour("soft"), linewidth=0.8)
        _month_axis(axes, [row["month"] for row in months])
        _counts(axes)
        figure.legend(loc="upper center", ncols=3, frameon=False, fontsize=8, labelcolor=colour("ink"))
        return Picture(figure, "Points that raised and lowered the outstanding balance, by month")


def vintage(months: Sequence[Row]) -> Picture | None:
    """Draw what has become of the points issued in each month, as shares.

    Args:
        months: rows with `issue_month`, `issued`, `redeemed`, `expired`, `reversed`, `remaining`.
    """
    months = [row for row in months if row["issued"] > 0]
    if not months:
        return None
    parts = (
        ("redeemed", "redeemed", "redeemed"),
        ("expired", "expired", "expired"),
        ("reversed", "taken back", "extra"),
        ("remaining", "still open", "issued"),
    )
    with drawing(6.5, 3.2, (0.55, 0.5, 0.1, 0.4)) as (figure, axes):
        from matplotlib.ticker import PercentFormatter

        start = [0.0] * len(months)
        for column, label, name in parts:
            values = [float(row[column]) / float(row["issued"]) for row in months]
            if not any(values):
                continue
            axes.bar(range(len(months)), values, bottom=start, width=0.8, color=colour(name), label=label)
            start = [a + b for a, b in zip(start, values, strict=True)]
        _month_axis(axes, [row["issue_month"] for row in months])
        axes.set_xlabel("month in which the points were issued", fontsize=8, color=colour("soft"))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        figure.legend(loc="upper center", ncols=4, frameon=False, fontsize=8, labelcolor=colour("ink"))
        return Picture(
            figure, "Points of each month of issue: redeemed, expired, taken back and still open, as shares"
        )


def short(value: float) -> str:
    """Return a number in few characters: 950, 12k, 2.2M."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        # 999,960 rounds to 1M, not to 1000k.
        if abs(value) >= size * 0.99995:
            return f"{value / size:,.1f}".removesuffix(".0") + unit
    return f"{value:,.0f}"


def _counts(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.grid(axis="y", color=colour("grid"), linewidth=0.8)


def _month_axis(axes: Axes, starts: Sequence[date], *, days: bool = False) -> None:
    """Label the x axis, at most seven times, the last period always."""
    step = -(-len(starts) // 7)
    shown = range((len(starts) - 1) % step, len(starts), step)
    axes.set_xticks(list(shown), [f"{starts[index]:{'%d %b' if days else '%b %y'}}" for index in shown])
    axes.set_xlim(-0.6, len(starts) - 0.4)


def _end_labels(axes: Axes, x: float, labels: Sequence[tuple[float, str, str]]) -> None:
    """Write labels right of the last values, apart from one another: value, text, colour of each."""
    low, high = axes.get_ylim()
    apart = (high - low) * 0.085
    above = float("-inf")
    for value, text, name in sorted(labels):
        above = max(value, above + apart)
        axes.annotate(
            text,
            (x, above),
            fontsize=8,
            weight="bold",
            va="center",
            color=colour(name),
            annotation_clip=False,
        )
