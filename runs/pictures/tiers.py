"""Pictures of VIP tiers: the migration matrix as a heat map, and the members of each tier over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from textwrap import wrap
from typing import Any

from runs.pictures.output import ON_DARK, ON_LIGHT, RAMP, Picture, colour, drawing

Row = dict[str, Any]
State = tuple[str, int | None]
"""A state of the tier reports: its name, and the tier's id where it is a tier. Two tiers may have the same name."""

NAMES = {
    "no_tier": "No tier",
    "not_member": "Guests",
    "(joined)": "First seen",
    "(left)": "Gone",
}
"""The states that are not tiers, in words for people."""
ARROWS = {"upgrade": "▲", "downgrade": "▼", "lateral": "↔"}
_RAMPS = {
    "rose": RAMP,
    "fell": ("#faeae6", "#f3cfc6", "#e5a595", "#cd6f5a", "#93382a"),
    "same": ("#eceff1", "#d5dade", "#b3bcc4", "#87939d", "#5a6773"),
}
"""Shades of a cell, by how its members moved."""
_MOVED = {"upgrade": "rose", "downgrade": "fell"}


@dataclass(frozen=True)
class Cell:
    """Members who were in one state at the start and in another at the end."""

    members: int
    share: float | None
    """Part of the members in that state at the start; None for customers first seen in the period."""
    direction: str

    @property
    def moved(self) -> str:
        """The direction as 'rose', 'fell' or 'same'."""
        return _MOVED.get(self.direction, "same")

    @property
    def step(self) -> int:
        """The share in five steps, 0 to 4; the steps are narrow at the lower end, where moves are."""
        return 0 if self.share is None else sum(self.share >= limit for limit in (0.02, 0.08, 0.25, 0.6))


@dataclass(frozen=True)
class Matrix:
    """A migration matrix: rows are states at the start of a period, columns states at its end."""

    start: date
    end: date
    rows: tuple[State, ...]
    columns: tuple[State, ...]
    cells: dict[tuple[State, State], Cell]

    def row_total(self, state: State) -> int:
        """Return the members in a state at the start."""
        return sum(cell.members for (row, _), cell in self.cells.items() if row == state)

    def column_total(self, state: State) -> int:
        """Return the members in a state at the end."""
        return sum(cell.members for (_, column), cell in self.cells.items() if column == state)


def ramp_css() -> str:
    """Return the CSS rules of a cell with the classes of its `moved` and `step`."""
    return "".join(
        f".{moved}.step{step} {{ background: {shade};{f' color: {ON_DARK};' if step >= 3 else ''} }}\n"
        for moved, ramp in _RAMPS.items()
        for step, shade in enumerate(ramp)
    )


def label(state: State) -> str:
    """Return a state's name for people."""
    return state[0] if state[1] is not None else NAMES.get(state[0], state[0])


def _wrapped(state: State, width: int, *, lines: int) -> str:
    """Return a state's name in lines of a width; the names that a shop gives may be of any length."""
    return "\n".join(wrap(label(state), width, max_lines=lines, placeholder="…"))


def matrix(rows: Sequence[Row], tiers: Sequence[int]) -> Matrix | None:
    """Return the migration matrix of one period, or None if it has no rows.

    Args:
        rows: rows of rpt_tier_migration or rpt_tier_migration_inferred, of one period.
        tiers: ids of the tiers, from the highest to the lowest.
    """
    if not rows:
        return None
    cells = {
        ((row["from_state"], row["from_tier_id"]), (row["to_state"], row["to_tier_id"])): Cell(
            row["members"], row["share"], row["direction"]
        )
        for row in rows
    }
    ends = ("no_tier", "not_member", "(joined)", "(left)")

    def place(state: State) -> tuple[int, int, str]:
        name, tier = state
        if tier is None:
            return 2, ends.index(name) if name in ends else -1, name
        return (0, tiers.index(tier), name) if tier in tiers else (1, 0, name)

    return Matrix(
        min(row["period_start"] for row in rows),
        max(row["period_end"] for row in rows),
        tuple(sorted({start for start, _ in cells}, key=place)),
        tuple(sorted({end for _, end in cells}, key=place)),
        cells,
    )


def migration(found: Matrix | None) -> Picture | None:
    """Draw a migration matrix: arrows mark moves up (blue) and down (red); darker is a larger share of the row."""
    if not found:
        return None
    rows, columns = found.rows, found.columns
    width, height = 1.75 + 0.95 * len(columns), 0.9 + 0.5 * len(rows)
    with drawing(width, height, (1.65, 0.1, 0.1, 0.8)) as (figure, axes):
        from matplotlib.patches import Rectangle

        for (start, end), cell in found.cells.items():
            x, y = columns.index(end), rows.index(start)
            shade = _RAMPS[cell.moved][cell.step]
            axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, color=shade))
            arrow = ARROWS.get(cell.direction, "")
            axes.annotate(
                f"{arrow} {cell.members:,}".strip() + ("" if cell.share is None else f"\n{cell.share:.1%}"),
                (x, y),
                ha="center",
                va="center",
                fontsize=8,
                weight="bold" if cell.direction == "unchanged" else None,
                color=ON_DARK if cell.step >= 3 else ON_LIGHT,
            )
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xticks(
            range(len(columns)),
            [f"{_wrapped(state, 13, lines=2)}\n{found.column_total(state):,}" for state in columns],
        )
        axes.set_yticks(
            range(len(rows)),
            [f"{_wrapped(state, 20, lines=1)}\n{found.row_total(state):,}" for state in rows],
        )
        axes.xaxis.tick_top()
        axes.set_ylabel(f"on {found.start:%d %b %Y}", fontsize=8, color=colour("soft"))
        axes.set_title(f"on {found.end:%d %b %Y}", fontsize=8, color=colour("soft"))
        return Picture(
            figure,
            "Members by state at the start and at the end of the period; arrows mark moves up and down",
        )


def distribution(days: Sequence[Row], tiers: Sequence[int]) -> Picture | None:
    """Draw the members of each tier by day, stacked, the highest tier at the bottom.

    Args:
        days: rows of rpt_tier_distribution: `local_day`, `state`, `tier_id`, `members`. Guests are left out.
        tiers: ids of the tiers, from the highest to the lowest.
    """
    rows = [row for row in days if row["state"] != "not_member"]
    if not any(row["members"] for row in rows):
        return None
    dates = sorted({row["local_day"] for row in rows})
    known = {(row["state"], row["tier_id"]) for row in rows}
    order = sorted(
        known,
        key=lambda state: (state[1] is None, tiers.index(state[1]) if state[1] in tiers else 99, state[0]),
    )
    members = {(row["local_day"], (row["state"], row["tier_id"])): row["members"] for row in rows}
    with drawing(6.5, 3, (0.55, 0.4, 1.9, 0.1)) as (figure, axes):
        from matplotlib.colors import LinearSegmentedColormap
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
        from matplotlib.ticker import FuncFormatter

        shade = LinearSegmentedColormap.from_list("ramp", RAMP[::-1])
        layers = [[members.get((day, state), 0) for day in dates] for state in order]
        # One day is drawn as wide as two, so that it can be seen.
        shown, layers = (dates, layers) if len(dates) > 1 else (dates * 2, [layer * 2 for layer in layers])
        xs: list[Any] = list(shown) if len(dates) > 1 else [0, 1]
        axes.stackplot(
            xs,
            layers,
            colors=[shade(index / max(len(order) - 1, 1)) for index in range(len(order))],
            step="post",
        )
        total = 0
        above = float("-inf")
        apart = sum(layer[-1] for layer in layers) * 0.075
        for state, layer in zip(order, layers, strict=True):
            above = max(total + layer[-1] / 2, above + apart)
            total += layer[-1]
            axes.annotate(
                f"  {_wrapped(state, 20, lines=1)} {layer[-1]:,}",
                (xs[-1], above),
                fontsize=8,
                va="center",
                color=colour("ink"),
                annotation_clip=False,
            )
        if len(dates) > 1:
            locator = AutoDateLocator(maxticks=8)
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        else:
            axes.set_xticks([0.5], [f"{dates[0]:%d %b %Y}"])
        axes.set_xlim(xs[0], xs[-1])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        return Picture(figure, "Members of each tier by day")
