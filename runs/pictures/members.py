"""Pictures of members by when they joined: how far they come, and whether they stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runs.pictures.output import ON_DARK, ON_LIGHT, RAMP, Picture, colour, drawing

Row = dict[str, Any]

_STEPS = (
    ("joined", "joined"),
    ("first_earn", "earned points"),
    ("first_redeem", "redeemed"),
    ("first_use", "used a reward"),
    ("second_redeem", "redeemed again"),
)


def funnel(row: Row | None) -> Picture | None:
    """Draw how many members took each step, as bars from top to bottom.

    Args:
        row: members of each step, `joined` to `second_redeem`, and `from_month`, `to_month`: the months they joined in.
    """
    if not row or not row["joined"]:
        return None
    with drawing(6.5, 2.6, (1.15, 0.1, 0.1, 0.35)) as (figure, axes):
        values = [int(row[column]) for column, _ in _STEPS]
        axes.barh(range(len(values)), values, height=0.62, color=colour("redeemed"))
        for place, value in enumerate(values):
            axes.annotate(
                f" {value:,}  ({value / values[0]:.0%})",
                (value, place),
                va="center",
                fontsize=8,
                color=colour("ink"),
            )
        axes.set_yticks(range(len(values)), [label for _, label in _STEPS], color=colour("ink"))
        axes.invert_yaxis()
        axes.set_xticks([])
        axes.set_xlim(0, values[0] * 1.2)
        axes.set_title(
            f"Joined {row['from_month']:%b %Y} to {row['to_month']:%b %Y}",
            fontsize=9,
            color=colour("soft"),
            loc="left",
        )
        return Picture(figure, "Members by step: joined, earned, redeemed, used a reward, redeemed again")


def cohort_retention(cells: Sequence[Row]) -> Picture | None:
    """Draw the share of members who earn points again, by month of joining and months since, as a heat map.

    Args:
        cells: rows with `join_month`, `months_since`, `cohort_size`, `earner_share`.
    """
    cells = [cell for cell in cells if cell["cohort_size"] and cell["earner_share"] is not None]
    if not cells:
        return None
    months = sorted({cell["join_month"] for cell in cells})
    latest = max(cell["months_since"] for cell in cells)
    width, height = 1.4 + 0.47 * (latest + 1), 0.6 + 0.3 * len(months)
    with drawing(width, height, (1.3, 0.5, 0.1, 0.1)) as (figure, axes):
        from matplotlib.patches import Rectangle

        for cell in cells:
            x, y, share = cell["months_since"], months.index(cell["join_month"]), cell["earner_share"]
            step = sum(share >= limit for limit in (0.2, 0.4, 0.6, 0.8))
            axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, color=RAMP[step]))
            axes.annotate(
                f"{share:.0%}",
                (x, y),
                ha="center",
                va="center",
                fontsize=7,
                color=ON_DARK if step >= 3 else ON_LIGHT,
            )
        axes.set_xlim(-0.5, latest + 0.5)
        axes.set_ylim(len(months) - 0.5, -0.5)
        sizes = {cell["join_month"]: cell["cohort_size"] for cell in cells}
        axes.set_yticks(range(len(months)), [f"{month:%b %Y} ({sizes[month]:,})" for month in months])
        axes.set_xticks(range(latest + 1), [str(since) for since in range(latest + 1)])
        axes.set_xlabel("months since joining", fontsize=8, color=colour("soft"))
        return Picture(figure, "Share of members who earn points, by month of joining and months since")
