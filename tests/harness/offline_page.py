"""A page in a browser without scripts and network, like a file that arrived by mail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page


@contextmanager
def opened_offline(browser: Browser, file: Path, colours: Literal["light", "dark"]) -> Iterator[Page]:
    """Open a file; fail at the end if the browser complained about anything."""
    context = browser.new_context(java_script_enabled=False, offline=True, color_scheme=colours)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("requestfailed", lambda failed: said.append(failed.url))
    page.goto(file.as_uri())
    yield page
    assert said == []
    context.close()


def assert_fits_a_phone(page: Page, selector: str) -> None:
    """Assert that no element of a selector needs sideways scrolling on a phone."""
    page.set_viewport_size({"width": 390, "height": 800})
    elements = page.locator(selector).all()
    assert elements
    for element in elements:
        box = element.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
