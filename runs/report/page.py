"""The report page as HTML: one file without scripts, network or style attributes."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from math import floor, log10
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from dbt_like_sql.runner.masking import masked
from runs.pictures import Picture, output, page_css, points, tiers
from runs.report.figures import Figures
from runs.report.tiles import Tile, tiles

_HERE = Path(__file__).parent
_SYMBOLS = {
    "USD": "$",
    "EUR": "€",
    "GBP": "£",
    "JPY": "¥",
    "INR": "₹",
    "CAD": "CA$",
    "AUD": "A$",
    "NZD": "NZ$",
    "": "",
}
"""Symbols of currencies that are written before the amount; other currencies are written as their ISO 4217 code."""
_LONG = 10
"""Characters of a value that fit into a tile in large type."""
_SEGMENTS = {
    "member": "Members",
    "not_member": "Guests",
    "redeemer": "Redeemed in the 12 months before",
    "not_redeemer": "Did not redeem",
    "no_tier": "No tier",
}


def page(found: Figures, *, currency: str, is_demo: bool, last: str = "") -> str:
    """Return the page as HTML.

    Args:
        found: the figures to show.
        currency: ISO 4217 code that amounts of money are shown with; empty for none.
        is_demo: whether the shop is simulated, which the page then says.
        last: the page written before; drawings of rows that have not changed are taken from it.
    """
    return render(
        "page.html.j2",
        tiers.ramp_css(),
        f=found,
        show=Shown(currency),
        tiles=tiles(found),
        charts=_charts(found, last),
        most_members=max((row["members"] for row in found.tiers), default=0),
        local=local_time(found.observed_at, found.timezone),
        last_year=date(found.month.year - 1, found.month.month, 1),
        is_demo=is_demo,
        arrows=tiers.ARROWS,
        label=tiers.label,
        trust=trust(found.checks),
    )


def render(template: str, more_style: str, **shown: Any) -> str:
    """Return a page of a template, in the style of all report pages and with more of its own."""
    style = page_css() + (_HERE / "page.css").read_text(encoding="utf-8") + more_style
    return (
        _templates()
        .get_template(template)
        .render(
            style=Markup(style),  # noqa: S704 our own files
            style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            **shown,
        )
    )


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "month": lambda day: f"{day:%B %Y}",
        "day": lambda day: f"{day:%d %b %Y}",
        "text": _text,
    }
    return environment


def _text(value: str) -> str:
    """Return a text of the shop, without anything that looks like an e-mail address."""
    return masked(value.replace("'", "’").replace('"', "”"), "")


class Shown:
    """Formats figures. Each is a <data> element: its value is exact, and `data-figure` names what it is."""

    def __init__(self, currency: str) -> None:
        self.has_currency = bool(currency)
        self._before = _SYMBOLS.get(currency, f"{currency} ")

    def count(self, value: Any, figure: str) -> Markup:
        """Format a number of members, codes or points: 1,723."""
        return self._data(value, figure, lambda: f"{round(value):,}".replace("-", "−"))

    def share(self, value: Any, figure: str) -> Markup:
        """Format a share: 31.4 %."""
        return self._data(value, figure, lambda: f"{value:.1%}".replace("%", " %").replace("-", "−"))

    def money(self, value: Any, figure: str) -> Markup:
        """Format an amount: $2,394, or $0.047 if it is small."""
        return self._data(value, figure, lambda: self._amount(value))

    def change(self, tile: Tile, before: Any, figure: str) -> Markup | None:
        """Format how far a tile's value is from an earlier one: in percent, for shares in percentage points."""
        if tile.value is None or before is None or (tile.kind != "share" and before == 0):
            return None
        change = tile.value - before if tile.kind == "share" else (tile.value - before) / abs(before)
        text = f"{abs(change) * 100:,.1f} {'pp' if tile.kind == 'share' else '%'}"
        arrow = "▲" if change > 0 else "▼" if change < 0 else "="
        return self._data(change, figure, lambda: f"{arrow} {text}")

    def signed(self, value: Any, figure: str) -> Markup:
        """Format a change in numbers: +22, −3, 0."""
        return self._data(value, figure, lambda: f"{value:+,}".replace("-", "−") if value else "0")

    def figure(self, kind: str, value: Any, figure: str) -> Markup:
        """Format a value by its kind: count, share or money."""
        shown: Markup = getattr(self, kind)(value, figure)
        return shown

    def is_long(self, tile: Tile) -> bool:
        """Return whether a tile's value needs smaller type, such as KRW 2,393,800."""
        return tile.value is not None and len(self.figure(tile.kind, tile.value, "").striptags()) > _LONG

    def note(self, tile: Tile) -> Markup:
        """Return a tile's note with its figures."""
        parts = {
            name: self.figure(kind, value, f"tile.{tile.name}.{name}")
            for name, (kind, value) in tile.figures.items()
        }
        return Markup(escape(tile.note)).format(**parts)  # noqa: S704 the notes are our own sentences

    def segment(self, row: dict[str, Any]) -> str:
        """Return a segment's name for people."""
        name: str = row["segment"]
        return _text(name) if row["tier_id"] is not None else _SEGMENTS.get(name, name)

    def _amount(self, value: Any) -> str:
        size = abs(value)
        # Two significant digits of a small amount, such as the value of a point.
        small = max(3, 1 - floor(log10(size))) if 0 < size < 1 else 2
        digits = 0 if size >= 100 else small
        return f"{'−' if value < 0 else ''}{self._before}{abs(value):,.{digits}f}"

    @staticmethod
    def _data(value: Any, figure: str, text: Any) -> Markup:
        if value is None:
            return Markup('<span class="none" title="not known">–</span>')
        exact = format(value, "f") if isinstance(value, Decimal) else repr(value)
        return Markup('<data value="{}" data-figure="{}">{}</data>').format(exact, figure, text())


def _charts(found: Figures, last: str) -> dict[str, Markup]:
    """Return the drawings by name; empty ones where there is nothing to show.

    In most nights no past month has changed. To draw three charts again, and to import Matplotlib for that, would take
    most of the time of the page.
    """
    first_sync = next(
        (
            index
            for index, row in enumerate(found.rates)
            if found.history_start and row["month"] == found.history_start.replace(day=1)
        ),
        None,
    )
    charts: dict[str, tuple[Callable[[], Picture | None], object]] = {
        "movement": (lambda: points.movement(found.months), found.months),
        "outstanding": (lambda: points.outstanding(found.months), found.months),
        "rates": (
            lambda: points.rates(found.rates, ramp_up=found.ramp_up, first_sync=first_sync),
            (found.rates, found.ramp_up, first_sync),
        ),
    }
    return {name: _drawn(name, draw, rows, last) for name, (draw, rows) in charts.items()}


def _drawn(name: str, draw: Callable[[], Picture | None], rows: object, last: str) -> Markup:
    # A change of the code that draws is a change as well.
    code = b"".join(Path(module.__file__ or "").read_bytes() for module in (output, points))
    key = hashlib.sha256(code + repr(rows).encode()).hexdigest()[:16]
    same = re.search(rf'<svg [^>]*data-rows="{name}-{key}".*?</svg>', last, re.DOTALL)
    if same:
        return Markup(same[0])  # noqa: S704 as it was written before
    picture = draw()
    if not picture:
        return Markup("")
    # Matplotlib escapes the names in its drawings.
    return Markup(picture.svg(name).replace("<svg ", f'<svg data-rows="{name}-{key}" ', 1))  # noqa: S704


def local_time(moment: datetime, timezone: str) -> str:
    """Return a time in a shop's time zone: 05 October 2026, 08:00 Europe/Berlin."""
    return f"{moment.astimezone(ZoneInfo(timezone)):%d %B %Y, %H:%M} {timezone}"


def trust(checks: Mapping[str, int]) -> Sequence[int]:
    """Return how many checks ask for attention, and how many there are."""
    return checks.get("attention", 0), sum(checks.values())
