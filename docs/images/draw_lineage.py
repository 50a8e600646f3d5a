"""Draw docs/images/lineage.png: the groups of assets, and which group is built from which.

    uv run python docs/images/draw_lineage.py

The groups and arrows come from tests/assets/asset_graph.txt, the snapshot of Dagster's asset graph. Only the example
tables in each box are written here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Outline

SNAPSHOT = Path(__file__).parents[2] / "tests" / "assets" / "asset_graph.txt"
PICTURE = Path(__file__).with_name("lineage.png")

WIDTH, HEIGHT = 1.72, 1.9
# Group -> (column, row), colour, and the lines below its name.
BOXES: dict[str, tuple[tuple[float, float], str, str]] = {
    "rivo": ((0, 0), "#e8e8ee", "lists of Rivo's\nREST API\n\ncustomers\nvip_tiers\n..."),
    "rivo_raw": (
        (1, 0),
        "#d9e8f7",
        "as received, with\nhistory (SCD2)\n\ncustomers\ncustomers_history\n...",
    ),
    "staging": ((2, 0), "#e3f2e1", "renamed, typed\n\n\nstg_rivo__customers\nstg_rivo__rewards\n..."),
    "intermediate": ((3, 0), "#e3f2e1", "shared steps\n\n\nint_ledger_entries\nint_tier_spells\n..."),
    "marts": ((4, 0), "#e3f2e1", "dimensions, facts\n\n\ndim_member\nfct_tier_change\n..."),
    "reports": ((5, 0), "#e3f2e1", "answers\n\n\nrpt_tier_migration\nrpt_data_trust\n..."),
    "published": ((6, 0), "#fbe9c6", "the DuckDB file\nthat people read\n\nDuckDB, Python,\nBI tools\n"),
    "seeds": ((2, -1), "#f3e6f5", "CSV files\n\n\nentry_class_rules\nprogram_settings\n..."),
    "rivo_events": (
        (5, -1),
        "#f0f0f0",
        "recent events, found\nby sensors\n\npoints_earned\nvip_tier_changed\n...",
    ),
}
STEP_X, STEP_Y = 2.2, 2.6
ARROW: dict[str, Any] = {
    "arrowstyle": "-|>",
    "mutation_scale": 12,
    "color": "#777",
    "linewidth": 1.2,
    "shrinkA": 0,
    "shrinkB": 0,
}


def groups() -> set[tuple[str, str]]:
    """Return each pair of groups of which the second has an asset that is built from one of the first."""
    lines = SNAPSHOT.read_text().splitlines()
    group = {line.split(" ")[0]: re.search(r"\[([^;]*);", line) for line in lines}
    pairs = set()
    for line in lines:
        asset, _, upstream = line.partition(" <- ")
        target = group[asset.split(" ")[0]]
        for name in filter(None, upstream.split(", ")):
            source = group[name]
            if source and target and source[1] != target[1]:
                pairs.add((source[1], target[1]))
    return pairs


def corner(name: str) -> tuple[float, float]:
    """Return the lower left corner of a group's box."""
    (column, row), _, _ = BOXES[name]
    return column * STEP_X, row * STEP_Y


def draw_box(axes: Axes, name: str) -> None:
    """Draw the box of a group with its name and its lines."""
    x, y = corner(name)
    _, colour, text = BOXES[name]
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            WIDTH,
            HEIGHT,
            boxstyle="round,pad=0.06,rounding_size=0.12",
            facecolor=colour,
            edgecolor="#555",
        )
    )
    axes.text(x + WIDTH / 2, y + HEIGHT - 0.04, name, ha="center", va="top", fontsize=11, weight="bold")
    axes.text(
        x + WIDTH / 2,
        y + HEIGHT - 0.36,
        text,
        ha="center",
        va="top",
        fontsize=8.2,
        linespacing=1.25,
        color="#333",
    )


def draw_arrow(axes: Axes, source: str, target: str) -> None:
    """Draw an arrow between two groups: straight to the next column, in an arc above or below the boxes between."""
    (from_column, from_row), (to_column, to_row) = BOXES[source][0], BOXES[target][0]
    x, y = corner(source)
    to_x, to_y = corner(target)
    if from_row > to_row and to_column - from_column > 2:
        low = to_y - 0.35
        end = to_x + WIDTH / 2
        points = [(x + WIDTH / 2, y - 0.08), (x + WIDTH / 2, low), (end, low), (end, to_y - 0.08)]
        axes.add_patch(FancyArrowPatch(path=Outline(points), **ARROW))
        return
    if from_row == to_row and to_column - from_column == 1:
        ends, bend = ((x + WIDTH + 0.08, y + HEIGHT / 2), (to_x - 0.08, to_y + HEIGHT / 2)), "arc3"
    elif from_row == to_row:
        ends = (x + WIDTH * 0.75, y + HEIGHT + 0.08), (to_x + WIDTH * 0.25, to_y + HEIGHT + 0.08)
        bend = f"arc3,rad={-0.36 / (to_column - from_column) - 0.08}"
    elif from_row > to_row:
        ends, bend = ((x + WIDTH * 0.6, y - 0.08), (to_x + WIDTH * 0.3, to_y + HEIGHT + 0.08)), "arc3"
    else:
        ends = (x + WIDTH + 0.08, y + HEIGHT * 0.6), (to_x + WIDTH * 0.4, to_y - 0.08)
        bend = "angle3,angleA=0,angleB=90"
    axes.add_patch(FancyArrowPatch(*ends, connectionstyle=bend, **ARROW))


def draw() -> None:
    """Draw the picture."""
    figure = Figure(figsize=(11.4, 4.5), layout="constrained")
    axes = figure.add_subplot()
    pairs = groups()
    assert {name for pair in pairs for name in pair} == BOXES.keys(), "a group has no box, or a box no group"
    for name in BOXES:
        draw_box(axes, name)
    for source, target in sorted(pairs):
        draw_arrow(axes, source, target)
    axes.text(
        (WIDTH + STEP_X) / 2, HEIGHT / 2 + 0.1, "dlt", ha="center", va="bottom", fontsize=10, weight="bold"
    )
    axes.text(
        3.5 * STEP_X + WIDTH / 2,
        HEIGHT + 1.0,
        "SQL models: dependencies are read from the SQL",
        ha="center",
        fontsize=10,
        weight="bold",
    )
    axes.text(
        6 * STEP_X + WIDTH / 2,
        -0.2,
        "replaced in one step\nwhen all blocking\nchecks pass",
        ha="center",
        va="top",
        fontsize=8.2,
        color="#333",
    )
    axes.set_xlim(-0.2, 6 * STEP_X + WIDTH + 0.2)
    axes.set_ylim(-STEP_Y - 0.45, HEIGHT + 1.25)
    axes.set_aspect("equal")
    axes.set_axis_off()
    figure.savefig(PICTURE, dpi=125)


if __name__ == "__main__":
    draw()
    print(PICTURE)
