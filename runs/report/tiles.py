"""The figures that matter most: six tiles at the top of the report page, and what the page of all shops compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runs.report.figures import Figures

Kind = Literal["count", "share", "money"]


@dataclass(frozen=True)
class Tile:
    """One figure with what it was a month and a year before. None is shown as a dash, never as 0."""

    name: str
    title: str
    kind: Kind
    value: Any
    previous: Any
    last_year: Any
    note: str
    """A sentence; figures in it are named in braces: 'of {points_issued} points'."""
    figures: Mapping[str, tuple[Kind, Any]]
    is_comparable: bool = True
    """Whether it may be compared: the first days of a month do not compare with whole months."""


@dataclass(frozen=True)
class _Definition:
    name: str
    title: str
    kind: Kind
    column: str
    note: str
    figures: Mapping[str, Kind]
    needs_members: bool = False
    adds_up: bool = False
    """Whether it grows through the month, so that only whole months compare."""


_TILES = (
    _Definition(
        "members", "Members", "count", "members_end", "in the programme at the end of the month", {}, True
    ),
    _Definition(
        "active_rate",
        "Active members",
        "share",
        "active_rate_90d",
        "{active_90d} bought, took a rewarded action, referred or redeemed in the last 90 days",
        {"active_90d": "count"},
        True,
    ),
    _Definition(
        "burn_ratio",
        "Points redeemed of issued",
        "share",
        "points_burn_ratio",
        "{points_redeemed} of {points_issued} points",
        {"points_redeemed": "count", "points_issued": "count"},
        adds_up=True,
    ),
    _Definition(
        "member_redemption_rate",
        "Members who redeemed",
        "share",
        "member_redemption_rate",
        "{redeeming_members} claimed a reward in the month",
        {"redeeming_members": "count"},
        True,
        adds_up=True,
    ),
    _Definition(
        "points_outstanding",
        "Points outstanding",
        "count",
        "points_outstanding",
        "worth about {face_value} at {value_per_point} a point",
        {"face_value": "money", "value_per_point": "money"},
    ),
    _Definition(
        "value_used",
        "Rewards used",
        "money",
        "value_used",
        "{codes_used} codes, {codes_used_unvalued} of them of unknown value",
        {"codes_used": "count", "codes_used_unvalued": "count"},
        adds_up=True,
    ),
)


_MORE = (
    _Definition("points_issued", "Points issued", "count", "points_issued", "", {}, adds_up=True),
    _Definition("points_redeemed", "Points redeemed", "count", "points_redeemed", "", {}, adds_up=True),
    _Definition("face_value", "Worth of the points outstanding", "money", "face_value", "", {}),
)
_COMPARED = (
    *("members", "active_rate", "points_issued", "points_redeemed", "burn_ratio", "member_redemption_rate"),
    *("points_outstanding", "face_value", "value_used"),
)
"""The figures in which shops are compared, by name and in order."""


def tiles(found: Figures) -> list[Tile]:
    """Return the six tiles of the chosen month."""
    return [_tile(definition, found) for definition in _TILES]


def compared_titles() -> list[str]:
    """Return the titles of the figures in which shops are compared."""
    return [definition.title for definition in _compared()]


def compared(found: Figures) -> list[Tile]:
    """Return the figures in which shops are compared, of one shop."""
    return [_tile(definition, found) for definition in _compared()]


def _compared() -> list[_Definition]:
    by_name = {definition.name: definition for definition in (*_TILES, *_MORE)}
    return [by_name[name] for name in _COMPARED]


def _tile(definition: _Definition, found: Figures) -> Tile:
    row, column = found.program, definition.column
    note = definition.note
    is_comparable = found.is_complete or not definition.adds_up
    if row[column] is None and definition.needs_members:
        note = _not_known(definition, found)
    elif definition.name == "members" and not found.is_complete:
        note = f"in the programme on {found.today:%d %b %Y}"
    elif definition.name == "points_outstanding" and row.get("face_value") is None:
        note = "of unknown value: no redemption of the last twelve months has a known value"
    elif definition.name == "value_used" and not row["codes_used_unvalued"]:
        note = "{codes_used} codes"
    elif row[column] is None:
        note = "no points were issued in the month"
    return Tile(
        definition.name,
        definition.title,
        definition.kind,
        row[column],
        found.previous.get(column) if is_comparable else None,
        found.last_year.get(column) if is_comparable else None,
        note,
        {name: (kind, row.get(name)) for name, kind in definition.figures.items() if f"{{{name}}}" in note},
        is_comparable,
    )


def _not_known(definition: _Definition, found: Figures) -> str:
    if found.history_start and found.now is None:
        return "the shop has no members yet"
    if found.history_start is None:
        return "not known: the customers have not been read completely yet"
    if definition.name == "member_redemption_rate":
        # It needs the members at the start of the month.
        return f"known from the first full month after the first sync, {found.history_start:%d %b %Y}"
    return f"known from the first sync on, {found.history_start:%d %b %Y}"
