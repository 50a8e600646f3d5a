"""Prints one row as Rivo answers it now, beside the row of the warehouse."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from cli.terminal.tables import print_result, terminal
from pipelines.errors import command
from runs.retrieve import NOUNS, Retrieved


def show(row: Retrieved, *, as_json: bool) -> None:
    """Print a row for people, with `*` before each attribute that differs, or as JSON."""
    if as_json:
        click.echo(json.dumps(_document(row), indent=2, default=str))
        return
    console = terminal()
    noun = NOUNS[row.name]
    source = "the demo store (simulated data)" if row.is_demo else "Rivo"
    heading = f"{noun[0].upper()}{noun[1:]} {row.id}, as {source} returns it at {_when(row.asked_at)}"
    console.print(f"{heading}\n", highlight=False)
    different = set(row.differences)
    names = list(row.now)
    if row.stored is None:
        print_result(console, ["attribute", "Rivo now"], [(name, _text(row.now[name])) for name in names])
    else:
        rows = [
            ("*" if name in different else "", name, _text(row.now[name]), _text(row.stored.get(name)))
            for name in names
        ]
        print_result(console, ["", "attribute", "Rivo now", "warehouse"], rows)
    console.print(f"\n{_conclusion(row)}", highlight=False)


def _conclusion(row: Retrieved) -> str:
    if row.observed_at is None:
        return f"The warehouse has no data for this list yet. Run `{command()} sync`."
    when = _when(row.observed_at)
    if row.stored is None:
        return f"The warehouse, as of {when}, does not have it. The next sync loads it."
    if row.deleted_at:
        since = _when(row.deleted_at)
        return f"The warehouse, as of {when}, has it as deleted since {since}. The next sync restores it."
    if not row.differences:
        return f"The warehouse, as of {when}, has the same."
    return f"The warehouse, as of {when}, differs in {', '.join(row.differences)}. The next sync loads the changes."


def _document(row: Retrieved) -> dict[str, Any]:
    return {
        "list": row.name,
        "id": row.id,
        "asked_at": row.asked_at.isoformat(),
        "rivo": row.now,
        "warehouse": row.stored,
        "observed_at": row.observed_at and row.observed_at.isoformat(),
        "deleted_at": row.deleted_at and row.deleted_at.isoformat(),
        "is_demo": row.is_demo,
        "differences": row.differences,
    }


def _text(value: Any) -> str | None:
    if isinstance(value, datetime):
        return _when(value, seconds=True)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _when(moment: datetime, *, seconds: bool = False) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if seconds else f"{moment:%Y-%m-%d %H:%M} UTC"
