"""Output of `rivo status`, and its exit code."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from cli import exits
from cli.terminal.tables import counted, plain, short, terminal
from pipelines.durations import in_words
from pipelines.errors import command
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.targets.last_publications import LastPublication
from pipelines.warehouse import RAW
from runs.status import Status

STATES = {exits.DONE: "ok", exits.FAILED: "failed", exits.STALE: "stale", exits.NO_WAREHOUSE: "no warehouse"}
"""The word for each exit code of `rivo status`."""


def exit_code(status: Status) -> int:
    """Return the exit code for a status: a failed sync takes precedence over a stale one."""
    if status.problems:
        return exits.FAILED
    return exits.STALE if status.is_stale else exits.DONE


def document_of(status: Status) -> dict[str, Any]:
    """Return the JSON document of a status."""
    code = exit_code(status)
    return {"state": STATES[code], "exit_code": code, **asdict(status), "warehouse": str(status.warehouse)}


def show(status: Status, *, as_json: bool) -> None:
    """Print a status as lines of text, or as one JSON document."""
    if as_json:
        print_document(document_of(status))
        return
    console = terminal()
    console.soft_wrap = True
    for title, text, colour in _lines(status):
        _print(console, title, text, colour)


def print_document(document: dict[str, Any]) -> None:
    """Print a JSON document, with times in ISO 8601."""
    print(json.dumps(document, indent=2, ensure_ascii=False, default=_plain))


def _lines(status: Status) -> list[tuple[str, str, str]]:
    demo = " (a demo with simulated data)" if status.is_demo else ""
    last = status.last_sync
    read = f"{last.lists_read} of {counted(last.lists_read + last.lists_failed, 'list')}"
    lines = [
        ("Warehouse", f"{short(status.warehouse)}{demo}, {status.size_bytes / 1e6:.1f} MB", ""),
        (
            "Last sync",
            f"{when(last.observed_at)}, {last.kind}: {read}, {last.rows_read:,} rows read, {last.rows_new:,} new, "
            f"{last.rows_changed:,} changed, {last.rows_deleted:,} deleted, {last.requests:,} requests",
            "",
        ),
    ]
    if status.is_running:
        lines.append(("Now", "a sync or a build is running", ""))
    lines += [("Problem", problem, "red") for problem in status.problems]
    lines.append(freshness(status))
    lines += _trust(status.trust)
    held = ", ".join(f"{ENDPOINTS[name].title} {rows:,}" for name, rows in status.quarantine.items())
    lines.append(("Quarantine", f"{held} rows: select * from {RAW}._quarantine" if held else "empty", ""))
    if status.last_delivery_at:
        lines.append(("Webhooks", f"the last delivery arrived at {when(status.last_delivery_at)}", ""))
    lines += [target_line(name, state) for name, state in status.targets.items()]
    lines += _actions(status.actions)
    if state := status.shared_state:
        lines.append(("State", state.sentence(datetime.now(UTC)), "red" if state.problem else ""))
    cron = f"RIVO_SYNC_CRON {status.sync_cron}, {status.timezone}"
    lines += [
        ("Next sync", f"{when(status.next_sync_at)} ({cron}), if the daemon is running", ""),
        ("Full sweep", f"with the sync at {when(status.next_full_sweep_at)}", ""),
    ]
    return lines


def _actions(states: dict[str, int]) -> list[tuple[str, str, str]]:
    if not states:
        return []
    open_ones = states.get("unknown", 0) + states.get("sending", 0)
    text = f"{states.get('done', 0):,} done, {states.get('refused', 0):,} refused"
    if not open_ones:
        return [("Actions", text, "")]
    hint = f"the next `{command()} actions apply` looks them up in Rivo"
    return [("Actions", f"{text}, {open_ones:,} with an unknown outcome: {hint}", "yellow")]


def target_line(name: str, state: LastPublication) -> tuple[str, str, str]:
    """Return a title, a sentence and a colour: how old the data in a target is."""
    if state.observed_at is None or state.published_at is None:
        return "Target", f"{name}: nothing has been published to it yet", "yellow"
    colour = "yellow" if state.problem else ""
    age = in_words(max((datetime.now(UTC) - state.published_at).total_seconds(), 0))
    return "Target", f"{name}: as of {when(state.observed_at)}, published {age} ago", colour


def _trust(findings: tuple[str, ...] | None) -> list[tuple[str, str, str]]:
    if findings is None:
        return [("Trust", "unknown: no model has been built yet. Run `make sync`.", "")]
    passed = ("Trust", "all trust checks pass", "green")
    return [("Trust", finding, "yellow") for finding in findings] or [passed]


def freshness(status: Status) -> tuple[str, str, str]:
    """Return a title, a sentence and a colour: whether the data is as fresh as the schedule says."""
    if status.is_demo:
        return "Freshness", "unknown: the clock of a demo is simulated", ""
    if not status.is_stale:
        return "Freshness", "up to date with the schedule", "green"
    title = ENDPOINTS[status.oldest_list].title
    if status.oldest_read_at is None:
        return "Freshness", f"STALE: {title} has never been read completely. Run `make sync`.", "red"
    if status.oldest_read_at > status.next_sync_at:
        return (
            "Freshness",
            f"UNKNOWN: the last sync is dated {when(status.oldest_read_at)}, later than this machine's clock. If "
            f"this machine's clock is wrong, set it. If Rivo's was ahead then, run `{command()} sync --rewind`: other "
            "syncs are refused.",
            "red",
        )
    return (
        "Freshness",
        f"STALE: {title} was last read completely at {when(status.oldest_read_at)}, and a sync has been due since. "
        "Check that the daemon is running, and in the Dagster UI whether a run failed; or run `make sync`.",
        "red",
    )


def _print(console: Console, title: str, text: str, colour: str) -> None:
    name = f"[{colour}]{title:<11}[/{colour}]" if colour else f"{title:<11}"
    console.print(f"{name} {plain(text)}", highlight=False)


def when(moment: datetime) -> str:
    """Return a time in text, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _plain(value: object) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
