"""Result tables show text that looks like markup unchanged."""

from __future__ import annotations

from rich.console import Console

from cli.terminal.tables import result_table


def test_result_table_shows_values_that_look_like_markup_unchanged() -> None:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(result_table(["[name]"], [("[/x]",), ("[key] a [red]b",)]))

    for text in ("[name]", "[/x]", "[key] a [red]b"):
        assert text in captured.get()
