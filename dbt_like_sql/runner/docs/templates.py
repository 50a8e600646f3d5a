"""Drawings of tables for the page: each SVG waits in a template, which the script clones."""

from __future__ import annotations

import html
from collections.abc import Mapping
from xml.etree import ElementTree

_SVG = "{http://www.w3.org/2000/svg}"


def templates(pictures: Mapping[str, str]) -> str:
    """Return a template element for each picture.

    Raises:
        ValueError: a picture is not an SVG element, or has a script.
    """
    return "\n".join(
        f'<template data-picture="{html.escape(relation)}">{_checked(relation, text)}</template>'
        for relation, text in pictures.items()
        if text
    )


def _checked(relation: str, text: str) -> str:
    """Return the text of an SVG element. What is well-formed cannot end the template."""
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - drawn by this program
    except ElementTree.ParseError as error:
        raise ValueError(f"The picture of {relation} is not well-formed: {error}.") from None
    if root.tag not in (f"{_SVG}svg", "svg"):
        raise ValueError(f"The picture of {relation} is no <svg> element.")
    if any(node.tag in (f"{_SVG}script", f"{_SVG}foreignObject", "script") for node in root.iter()):
        raise ValueError(f"The picture of {relation} has a script.")
    return text[text.index("<svg") :]
