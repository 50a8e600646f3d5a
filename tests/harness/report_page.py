"""Reads a report page as a person does: numbers, sections, text. Uses nothing of the code that writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

_NOT_SHOWN = ("style", "script")
_VOID = ("meta", "link", "br", "img")


@dataclass
class ReportPage(HTMLParser):
    """A parsed page."""

    html: str
    numbers: dict[str, Decimal] = field(default_factory=dict)
    """By `data-figure`, the exact value of each number."""
    shown: dict[str, str] = field(default_factory=dict)
    """By `data-figure`, each number as it is shown."""
    sections: dict[str, str] = field(default_factory=dict)
    """By heading, the text of each section."""
    queries: dict[str, str] = field(default_factory=dict)
    """By the heading of an item to do, the query that lists it."""

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self._figure = self._heading = self._item = ""
        self.feed(self.html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            return
        self._open.append(tag)
        if tag == "data":
            found = dict(attrs)
            self._figure = found["data-figure"] or ""
            assert self._figure not in self.numbers, f"{self._figure} is there twice"
            self.numbers[self._figure] = Decimal(found["value"] or "")
        if tag in ("h2", "h3"):
            setattr(self, "_heading" if tag == "h2" else "_item", "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        assert self._open.pop() == tag
        if tag == "data":
            self._figure = ""

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] in _NOT_SHOWN:
            return
        if self._figure:
            self.shown[self._figure] = data
        if self._open[-1] == "h2":
            self._heading += data
        elif self._open[-1] == "h3":
            self._item += data
        elif self._open[-1] == "code" and "pre" in self._open:
            self.queries[self._item] = data
        if self._heading:
            self.sections[self._heading] = self.sections.get(self._heading, "") + data


def read_page(path: Path) -> ReportPage:
    """Read a page and assert what holds for every page: no leftovers of missing values, and no empty frame."""
    page = ReportPage(path.read_text(encoding="utf-8"))
    text = " ".join([*page.sections.values(), *page.shown.values()])
    assert re.findall(r"\b(?:nan|none|null|undefined|inf)\b", text, flags=re.IGNORECASE) == []
    assert not any(number.is_nan() for number in page.numbers.values())
    assert "@" not in text
    assert {
        heading for heading, body in page.sections.items() if not body.removeprefix(heading).strip()
    } == set()
    # Drawings, tables and lists are left out where there is nothing to show in them.
    assert not re.search(r"<(tbody|ul|dl)[^>]*>\s*</\1>|<svg[^>]*>\s*</svg>", page.html)
    return page
