"""Charts of two reports for their pages in Dagster: PNG images of a few kilobytes, embedded in Markdown."""

from __future__ import annotations

import base64
import io
import warnings
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The last complete month, or the whole history if no month is complete yet.
_MIGRATION = """
    select
        from_state,
        to_state,
        sum(members)::bigint as members,
        sum(case direction when 'upgrade' then members when 'downgrade' then -members else 0 end)::bigint as moved,
        min(period_start) as period_start,
        max(period_end) as period_end
    from (
        select * from reports.rpt_tier_migration
        where period_type = 'to_date' or (period_type = 'month' and is_complete)
        qualify dense_rank() over (order by period_type = 'to_date', period_start desc) = 1
    )
    group by from_state, to_state
"""
_STATES = """
    select tier_name from marts.dim_tier where is_current order by tier_rank, tier_name
"""
_RATES = """
    select period_start, points_burn_ratio, member_redemption_rate
    from reports.rpt_redemption_rates
    where period_type = 'week' and segment = 'all' and is_complete
    order by period_start
"""


def tier_migration(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Draw a heat map of the last complete month: rows are the states at its start, columns those at its end.

    Upgrades are blue and downgrades red. A darker cell is a larger share of the members in that state at the start.

    Returns:
        Markdown, or None if the report has no rows.
    """
    cells = connection.execute(_MIGRATION).fetchall()
    if not cells:
        return None
    tiers = [name for (name,) in connection.execute(_STATES).fetchall()]
    known = dict.fromkeys(
        ["(joined)", "not_member", "no_tier", *tiers, *(c[0] for c in cells), *(c[1] for c in cells)]
    )
    order = [*(state for state in known if state != "(left)"), "(left)"]
    rows = [state for state in order if any(cell[0] == state for cell in cells)]
    columns = [state for state in order if any(cell[1] == state for cell in cells)]
    began = {row: sum(cell[2] for cell in cells if cell[0] == row) for row in rows}
    colours = [[0.0] * len(columns) for _ in rows]
    for from_state, to_state, _, moved, *_ in cells:
        colours[rows.index(from_state)][columns.index(to_state)] = moved / max(began[from_state], 1)
    limit = max(0.01, *(abs(value) for line in colours for value in line))

    figure = _figure(1.8 + 1.0 * len(columns), 1.5 + 0.55 * len(rows))
    axes = figure.add_subplot()
    axes.imshow(colours, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    for from_state, to_state, members, moved, *_ in cells:
        share = members / max(began[from_state], 1)
        axes.annotate(
            f"{members:,}" if from_state == "(joined)" else f"{members:,}\n{share:.1%}",
            (columns.index(to_state), rows.index(from_state)),
            ha="center",
            va="center",
            fontsize=8,
            weight="bold" if from_state == to_state else None,
            color="white" if abs(moved) / max(began[from_state], 1) > 0.6 * limit else "black",
        )
    # Tier names may contain two dollar signs, which Matplotlib would read as a formula.
    axes.set_xticks(range(len(columns)), columns, parse_math=False)
    axes.set_yticks(range(len(rows)), rows, parse_math=False)
    axes.set_xlabel("state at the end")
    axes.set_ylabel("state at the start")
    axes.set_title(
        f"Tier migration, {min(c[4] for c in cells):%d %b %Y} to {max(c[5] for c in cells):%d %b %Y}"
    )
    return _markdown(
        figure, "Members by state at the start and at the end; upgrades are blue, downgrades red"
    )


def redemption_rates(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Draw two rates of all members as lines, by complete week.

    Returns:
        Markdown, or None if no week is complete yet.
    """
    weeks = connection.execute(_RATES).fetchall()
    if not weeks:
        return None
    figure = _figure(7.5, 3.4)
    axes = figure.add_subplot()
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import PercentFormatter

    starts = [week[0] for week in weeks]
    missing = float("nan")
    for index, label in ((1, "points_burn_ratio"), (2, "member_redemption_rate")):
        values = [missing if week[index] is None else float(week[index]) for week in weeks]
        axes.plot(starts, values, marker="o", markersize=4, label=label)
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.set_title("Redemption by week, all members")
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return _markdown(
        figure, "Points redeemed for each point issued, and the share of members who redeemed, by week"
    )


def _figure(width: float, height: float) -> Figure:
    # Imported here, since the import takes half a second that only runs with pictures need.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _markdown(figure: Figure, text: str) -> str:
    png = io.BytesIO()
    with warnings.catch_warnings():
        # An emoji in a tier name is drawn as a box. The user cannot change that during a sync, so it is no warning.
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        figure.savefig(png, format="png", dpi=80)
    return f"![{text}](data:image/png;base64,{base64.b64encode(png.getvalue()).decode()})"


PICTURES = {
    "reports.rpt_tier_migration": tier_migration,
    "reports.rpt_redemption_rates": redemption_rates,
}
"""The function that draws the picture of each table that has one."""
