"""Output of `rivo status` for several shops: a line for each, then what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli import exits
from cli.shops import worst
from cli.terminal.status import STATES, document_of, exit_code, freshness, print_document, when
from cli.terminal.tables import plain, print_result, terminal
from pipelines.errors import NoWarehouse, RivoError, command
from runs.status import Status

_COLUMNS = ["shop", "state", "last sync", "lists", "trust", "MB", "next sync"]


def code_of(found: Status | RivoError) -> int:
    """Return the exit code for a shop: of its status, or of why there is none."""
    if isinstance(found, RivoError):
        return exits.NO_WAREHOUSE if isinstance(found, NoWarehouse) else exits.FAILED
    return exit_code(found)


def show_all(shops: Mapping[str, Status | RivoError], *, as_json: bool) -> None:
    """Print the status of each shop, by name, or the reason why there is none."""
    if as_json:
        code = worst(map(code_of, shops.values()))
        documents = {name: _document(found) for name, found in shops.items()}
        print_document({"state": STATES[code], "exit_code": code, "shops": documents})
        return
    console = terminal()
    print_result(console, _COLUMNS, [_row(name, found) for name, found in shops.items()])
    console.soft_wrap = True
    for name, found in shops.items():
        for sentence, colour in _troubles(found):
            console.print(f"[{colour}]{name}[/{colour}]: {plain(sentence)}", highlight=False)
    console.print(f"\n`{command()} status --shop NAME` shows all of one shop.", highlight=False)


def _document(found: Status | RivoError) -> dict[str, Any]:
    if isinstance(found, RivoError):
        code = code_of(found)
        return {"state": STATES[code], "exit_code": code, "problems": [str(found)]}
    return document_of(found)


def _row(name: str, found: Status | RivoError) -> tuple[Any, ...]:
    state = STATES[code_of(found)]
    if isinstance(found, RivoError):
        return (name, state, "", "", "", "", "")
    if found.is_demo:
        state += " (demo)"
    if found.is_running:
        state += ", running"
    last = found.last_sync
    trust = "unknown" if found.trust is None else f"{len(found.trust)} findings" if found.trust else "passes"
    lists = f"{last.lists_read} of {last.lists_read + last.lists_failed}"
    size = f"{found.size_bytes / 1e6:.1f}"
    return name, state, when(last.observed_at), lists, trust, size, when(found.next_sync_at)


def _troubles(found: Status | RivoError) -> list[tuple[str, str]]:
    """Return sentences about what is wrong, each with its colour."""
    if isinstance(found, RivoError):
        return [(str(found), "red")]
    troubles = [(problem, "red") for problem in found.problems]
    if found.is_stale and not found.is_demo:
        troubles.append((freshness(found)[1], "red"))
    troubles += [(finding, "yellow") for finding in found.trust or ()]
    return troubles
