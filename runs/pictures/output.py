"""Matplotlib figures as PNG images for Dagster, and as inline SVG that follows the colours of a page.

A drawing uses the light colours of `PALETTE`. In the SVG each colour is replaced by its CSS variable, so that a page
can show the same drawing light and dark; `page_css` defines the variables.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE: dict[str, tuple[str, str]] = {
    "paper": ("#fffffe", "#15191d"),
    "ink": ("#1c2731", "#e6eaee"),
    "soft": ("#5a6772", "#a0abb5"),
    "grid": ("#e1e5e9", "#333b43"),
    "issued": ("#9aa5b1", "#7d8894"),
    "redeemed": ("#1f5fa8", "#6aa5e6"),
    "expired": ("#b4412f", "#ee8a76"),
    "extra": ("#7a5c9e", "#b89be0"),
    "good": ("#2f7d5b", "#6fc49d"),
    "band": ("#f1f3f5", "#20262c"),
}
"""Name of each colour: its light and its dark value. No two light values are equal: they are looked up by value."""

RAMP = ("#e8eff8", "#c3d7ee", "#8fb5de", "#4d86c4", "#1f4f8f")
"""Light to dark, for values in five steps. It is the same on a dark page, and so are the two colours of text on it."""
ON_LIGHT, ON_DARK = "#1c2730", "#ffffff"

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_VARIABLES = {light: name for name, (light, _) in PALETTE.items()}
_FONT = re.compile(r"(?P<weight>bold )?(?P<size>[\d.]+)px")
_DROPPED = frozenset({"stroke-miterlimit", "stroke-linejoin", "opacity"})


@dataclass(frozen=True)
class Picture:
    """A drawn figure, and the text for readers who cannot see it."""

    figure: Figure
    text: str

    def svg(self, name: str) -> str:
        """Return the figure as an <svg> element for an HTML page; `name` keeps its ids apart from other pictures'.

        It has no style sheet and no style attribute, so a Content-Security-Policy can forbid inline styles.
        """
        raw = io.BytesIO()
        with _settings(), _without_glyph_warnings():
            self.figure.savefig(raw, format="svg", transparent=True, metadata={"Date": None})
        return _clean(raw.getvalue(), name, self.text)

    def markdown(self) -> str:
        """Return the figure as a PNG image embedded in Markdown, which is what Dagster's pages show."""
        from PIL import Image

        drawn, png = io.BytesIO(), io.BytesIO()
        with _settings(), _without_glyph_warnings():
            self.figure.savefig(drawn, format="png", dpi=90, facecolor=colour("paper"))
        # Dagster keeps the image of every run. With a palette it takes a third of the bytes.
        Image.open(drawn).quantize(128).save(png, format="png", optimize=True)
        return f"![{self.text}](data:image/png;base64,{base64.b64encode(png.getvalue()).decode()})"


@contextmanager
def drawing(
    width: float, height: float, margins: tuple[float, float, float, float]
) -> Iterator[tuple[Figure, Axes]]:
    """Yield an empty figure of a size in inches, and its axes, with the style that all pictures share.

    `margins` is the room for labels left of the axes, below, right and above, in inches. Matplotlib could find it, but
    to measure every text takes it as long as to draw.
    """
    # Imported here, since the import takes half a second that only runs with pictures need.
    from matplotlib.figure import Figure

    with _settings():
        figure = Figure(figsize=(width, height))
        axes = figure.add_subplot()
        left, bottom, right, top = margins
        figure.subplots_adjust(
            left=left / width, bottom=bottom / height, right=1 - right / width, top=1 - top / height
        )
        for side in ("top", "right", "left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.tick_params(length=0, labelsize=8, labelcolor=colour("soft"))
        axes.set_axisbelow(True)
        yield figure, axes


def colour(name: str) -> str:
    """Return the light value of a colour."""
    return PALETTE[name][0]


def page_css(dark: str = "") -> str:
    """Return the style sheet of the colours of pictures, light and dark; on paper they are light.

    `dark` is the selector that matches while a page is dark; by default the reader's system decides.
    """
    light = _declarations(is_dark=False)
    if dark:
        in_the_dark = f"{dark} {{ {_declarations(is_dark=True)} }}"
    else:
        in_the_dark = f"@media (prefers-color-scheme: dark) {{ :root {{ {_declarations(is_dark=True)} }} }}"
    on_paper = f"@media print {{ :root{dark and f', {dark}'} {{ {light} }} }}"
    return f":root {{ {light} }}\n{in_the_dark}\n{on_paper}\n"


def _declarations(*, is_dark: bool) -> str:
    return " ".join(f"--chart-{name}: {values[is_dark]};" for name, values in PALETTE.items())


@contextmanager
def _settings() -> Iterator[None]:
    from matplotlib import rc_context

    # Names of tiers and rewards may contain two dollar signs, which Matplotlib would read as a formula.
    with rc_context({"text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": "rivo"}):
        yield


@contextmanager
def _without_glyph_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        # An emoji in a tier name is drawn as a box. The user cannot change that during a sync, so it is no warning.
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        yield


def _clean(raw: bytes, name: str, text: str) -> str:
    """Turn Matplotlib's SVG into an element for a page: no style sheet, no comments, colours as variables."""
    ElementTree.register_namespace("", _SVG.strip("{}"))
    # Matplotlib has just written this text, so nothing in it is from outside.
    root = ElementTree.fromstring(raw)  # noqa: S314
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style") or (
                child.tag == f"{_SVG}defs"
                and not child.findall(f"{_SVG}clipPath")
                and not child.findall(f"{_SVG}path")
            ):
                parent.remove(child)
    _rename(root, name)
    for element in root.iter():
        for key, value in _attributes(element.attrib.pop("style", "")):
            element.set(key, value)
        for key in ("fill", "stroke"):
            if element.get(key) in _VARIABLES:
                element.set(key, f"var(--chart-{_VARIABLES[element.attrib[key]]})")
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.set("role", "img")
    root.set("aria-label", text)
    return re.sub(r">\s+<", "><", ElementTree.tostring(root, encoding="unicode"))


def _rename(root: ElementTree.Element, name: str) -> None:
    """Keep only the ids that something refers to, under names that no other picture has."""
    used = {
        match
        for element in root.iter()
        for value in element.attrib.values()
        for match in re.findall(r"^#(\S+)$|url\(#(\S+?)\)", value)
        for match in match
        if match
    }
    for element in root.iter():
        found = element.attrib.pop("id", None)
        if found in used:
            element.set("id", f"{name}-{found}")
        for key, value in list(element.attrib.items()):
            renamed = re.sub(r"url\(#(\S+?)\)", rf"url(#{name}-\1)", value)
            if key == _LINK:
                del element.attrib[key]
                key, renamed = "href", f"#{name}-{value[1:]}"
            element.set(key, renamed)


def _attributes(style: str) -> Iterator[tuple[str, str]]:
    """Yield the declarations of a style attribute as presentation attributes."""
    for declaration in filter(None, map(str.strip, style.split(";"))):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        font = _FONT.search(value) if key == "font" else None
        if font:
            yield "font-size", font["size"]
            if font["weight"]:
                yield "font-weight", "bold"
        elif key not in _DROPPED:
            yield key, value
