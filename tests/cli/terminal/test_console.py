"""Texts of a shop on the terminal: neither markup nor control characters have an effect."""

from __future__ import annotations

from rich.console import Console

from cli.terminal.tables import plain, result_table


def test_result_table_shows_values_that_look_like_markup_unchanged() -> None:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(result_table(["[name]"], [("[/x]",), ("[key] a [red]b",)]))

    for text in ("[name]", "[/x]", "[key] a [red]b"):
        assert text in captured.get()


def test_texts_of_a_shop_cannot_control_the_terminal() -> None:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(plain("[red]\0 sources\x1b[2J and \u202enames"), highlight=False)
    assert captured.get() == "[red]\ufffd sources\ufffd[2J and \ufffdnames\n"
