"""Prints the actions of a project, the plan of one, and what became of it."""

from __future__ import annotations

import csv
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click
from rich.console import Console

from cli.terminal.pipes import DeafConsole
from cli.terminal.tables import counted, plain, print_result, terminal
from pipelines.actions.entries import Entry
from pipelines.actions.outbox import Outbox
from pipelines.actions.plan import ActionPlan, Limits, PlannedRow
from pipelines.errors import command
from runs.action_facts import addresses
from runs.action_rows import COMMAND_LINE, Definition, readable
from runs.actions import Applied, Desk, Watcher

PLAN_ROWS = 20
"""Number of rows of a plan that a table shows."""
_MAX_PROBLEMS = 10
_DECISIONS = {
    "ready": "to send",
    "done": "done before",
    "open": "sent with an unknown outcome",
    "left_out": "left out",
    "held_back": "held back",
}
_STATES = {
    "done": "done",
    "skipped": "left out",
    "refused": "refused by Rivo",
    "unknown": "with an unknown outcome",
    "sending": "with an unknown outcome",
    "planned": "not sent",
}
_PROGRESS_SECONDS = 5.0


def show_list(definitions: Sequence[Definition], outbox: Outbox) -> None:
    """Print the actions, and what of each was sent."""
    counts = outbox.count()
    names = dict.fromkeys([*(each.name for each in definitions), *sorted({name for name, _ in counts})])
    by_name = {each.name: each for each in definitions}
    rows = []
    for name in names:
        definition = by_name.get(name)
        states = {state: number for (action, state), number in counts.items() if action == name}
        rows.append(
            (
                name,
                definition.kind.name if definition else "from files and the command line",
                "" if definition is None else "no" if definition.disabled else "yes",
                states.get("done", 0),
                states.get("refused", 0),
                states.get("unknown", 0) + states.get("sending", 0),
                _when(outbox.last_sent_at(name)),
            )
        )
    console = terminal()
    columns = ["action", "kind", "enabled", "done", "refused", "unknown", "last sent"]
    print_result(console, columns, rows)
    console.print(f"\n`{command()} actions plan NAME` shows what an action would send.", highlight=False)


def write_plan(plan: ActionPlan) -> None:
    """Write all rows of a plan as CSV to standard output."""
    columns = _columns(plan.rows)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["row", "decision", *columns, "value", "reason"])
    for row in plan.rows:
        values = _values(row)
        cells = ["" if values.get(name) is None else readable(values[name]) for name in columns]
        writer.writerow(
            [row.position, row.decision, *cells, "" if row.value is None else row.value, row.reason]
        )


def show_plan(plan: ActionPlan, definition: Definition, desk: Desk) -> None:
    """Print the totals of a plan and its first rows."""
    _print_plan(terminal(), plan, definition, desk)
    if definition.disabled:
        click.echo(f"\nNothing was sent. {definition.disabled}")
    elif plan.ready:
        click.echo(
            f"\nNothing was sent. To send it, run `{command()} actions apply` with the same arguments."
        )


def _print_plan(console: Console, plan: ActionPlan, definition: Definition, desk: Desk) -> None:
    where = "the demo's sandbox store" if desk.shop.is_demo else "Rivo"
    as_of = f", from data as of {_when(desk.observed_at)}" if desk.observed_at else ""
    console.print(f"{plan.kind.title} in {where}: {plain(plan.name)}", highlight=False)
    console.print(f"Rows of {plain(definition.where)}{as_of}\n", highlight=False)
    for line in _totals(plan):
        console.print(f"  {plain(line)}", highlight=False)
    if any(row.action and row.action.parameters.get("external_note") for row in plan.ready):
        console.print("\nThe shopper sees external_note.", highlight=False)
    if plan.kind.name == "redeem_reward" and plan.ready:
        console.print("\nRivo sends each customer a mail with the code.", highlight=False)
    if definition.send_email:
        console.print("\nRivo may send a mail to each customer.", highlight=False)
    if plan.rows:
        _print_rows(console, plan, desk)


def _print_rows(console: Console, plan: ActionPlan, desk: Desk) -> None:
    console.print()
    shown = plan.rows[:PLAN_ROWS]
    columns = _columns(plan.rows)
    people = [row.action.customer_id for row in shown if row.action and row.action.customer_id]
    known = addresses(desk.connection, people)
    print_result(
        console,
        ["row", "plan", *(["customer"] if known else []), *columns, "value", "reason"],
        [
            (
                row.position,
                _DECISIONS[row.decision],
                *([known.get(row.action.customer_id or 0) if row.action else None] if known else []),
                *(_values(row).get(name) for name in columns),
                row.value if _has_value(plan) else None,
                row.reason or None,
            )
            for row in shown
        ],
    )
    if len(plan.rows) > PLAN_ROWS:
        more = f"first {PLAN_ROWS} of {len(plan.rows):,} rows (`plan --format csv` shows all)"
        console.print(more, style="dim", highlight=False)


def _totals(plan: ActionPlan) -> list[str]:
    if not plan.rows:
        return ["No rows."]
    lines = [f"{plan.count('ready'):>6,} to send{_amounts(plan)}"]
    for decision in ("done", "open"):
        if count := plan.count(decision):
            lines.append(f"{count:>6,} {_DECISIONS[decision]}")
    for decision in ("left_out", "held_back"):
        reasons = Counter(_general(row.reason) for row in plan.rows if row.decision == decision)
        word = "by the limit " if decision == "held_back" else "because "
        lines += [
            f"{count:>6,} {_DECISIONS[decision]} {word}{reason}" for reason, count in reasons.most_common()
        ]
    lines += [f"       limit {line}" for line in _limits(plan.limits)]
    return lines


def _amounts(plan: ActionPlan) -> str:
    parts = []
    if plan.points:
        parts.append(counted(plan.points, "point"))
    if plan.credits:
        parts.append(f"{plan.credits:,} store credits")
    if plan.ready and _has_value(plan):
        value = plan.value
        parts.append("value unknown" if value is None else f"about {value:,.2f} in the shop's currency")
    return f": {', '.join(parts)}" if parts else ""


def _has_value(plan: ActionPlan) -> bool:
    return plan.kind.name in ("add_points", "redeem_reward")


def _limits(scopes: Mapping[str, Limits]) -> list[str]:
    found = []
    for scope, limits in scopes.items():
        values = {"rows": limits.max_rows, "points": limits.max_points, "value": limits.max_value}
        given = [f"{most:,} {name}" for name, most in values.items() if most is not None]
        if given:
            found.append(f"{scope.replace('_', ' ')}: {', '.join(given)}")
    return found


_GENERAL = {
    "it has the same key": "it has the same key as an earlier row",
    "Rivo refused it": "Rivo refused it before",
    "the balance of": "the balance would become negative",
}
"""By beginning, what a reason says without what differs from row to row."""


def _general(reason: str) -> str:
    return next((text for start, text in _GENERAL.items() if reason.startswith(start)), reason)


def _columns(rows: Sequence[PlannedRow]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in _values(row)))


def _values(row: PlannedRow) -> dict[str, Any]:
    return {**row.action.parameters, **row.action.extra} if row.action else {}


@dataclass
class Follower:
    """Shows an apply on the terminal and asks before anything is sent."""

    definition: Definition
    yes: bool
    desk: Desk | None = None

    def __post_init__(self) -> None:
        # A closed pipe must not end an apply in the middle.
        self.console = DeafConsole(width=terminal().width)
        self._printed = time.monotonic()

    @property
    def watcher(self) -> Watcher:
        """The callbacks of this follower."""
        return Watcher(self.notice, self._progress, self._confirm, self._confirm_rest)

    def notice(self, sentence: str) -> None:
        """Print why the apply waits."""
        self.console.print(plain(sentence), highlight=False)

    def _progress(self, sent: int, total: int) -> None:
        if sent < total and time.monotonic() - self._printed > _PROGRESS_SECONDS:
            self._printed = time.monotonic()
            self.console.print(f"Sent {sent:,} of {total:,}", highlight=False)

    def _confirm(self, plan: ActionPlan) -> bool:
        assert self.desk
        _print_plan(self.console, plan, self.definition, self.desk)
        if self.yes:
            return True
        if not sys.stdin.isatty():
            raise click.UsageError("There is no terminal to ask on. Add --yes to send without asking.")
        where = "the demo's sandbox store" if self.desk.shop.is_demo else "Rivo"
        return click.confirm(f"\nSend {counted(len(plan.ready), 'action')} to {where}?")

    def _confirm_rest(self, entry: Entry, call: str) -> bool:
        self.console.print(
            f"\nThe call `{plain(call)}` could not be looked up in Rivo's documentation. It was tried "
            f"with the first row ({_about(entry)}), and Rivo shows what was asked for.",
            highlight=False,
        )
        return not self.yes and sys.stdin.isatty() and click.confirm("Send the rest?")

    def summary(self, applied: Applied) -> None:
        """Print what became of the actions."""
        show = self.console.print
        if applied.resolved:
            found = Counter(_state(entry) for entry in applied.resolved)
            text = ", ".join(f"{count:,} {state}" for state, count in found.items())
            show(f"\nSent by earlier commands and looked up now: {text}.", highlight=False)
        if not applied.plan.ready:
            for line in _totals(applied.plan):
                show(f"  {plain(line)}", highlight=False)
            show("\nNothing to send.", highlight=False)
            for hint in _hints(applied.plan, self.definition):
                show(hint, highlight=False)
        else:
            states = Counter(_state(entry) for entry in applied.entries)
            text = ", ".join(f"{count:,} {state}" for state, count in states.items())
            where = " in the demo's sandbox store" if applied.is_demo else ""
            show(f"\n{text[0].upper()}{text[1:]}{where}.", highlight=False)
        for entry in applied.problems[:_MAX_PROBLEMS]:
            why = entry.difference or entry.message or ""
            show(
                plain(f"  {_about(entry)}: {_state(entry)}{f': {why}' if why else ''}"),
                highlight=False,
            )
        if len(applied.problems) > _MAX_PROBLEMS:
            show(f"  and {len(applied.problems) - _MAX_PROBLEMS:,} more", highlight=False)
        skipped = [entry for entry in applied.entries if entry.state == "skipped"]
        for reason, count in Counter(_general(entry.message or "") for entry in skipped).most_common():
            show(plain(f"  {count:,} left out: {reason}"), highlight=False)
        if any(entry.state in ("unknown", "sending") for entry in applied.problems):
            show(
                f"Those with an unknown outcome are looked up by the next `{command()} actions apply`, and not sent "
                f"again before. If Rivo's lists do not show them, look in Rivo and run `{command()} actions resolve`.",
                highlight=False,
            )
        if applied.stopped:
            show(f"\n{plain(applied.stopped)}", highlight=False)
        elif any(entry.state == "done" for entry in applied.entries):
            show(f"The next `{command()} sync` shows them in marts.fct_action.", highlight=False)


def _hints(plan: ActionPlan, definition: Definition) -> list[str]:
    """Return what to do about a single action that was not sent."""
    if definition.where != COMMAND_LINE:
        return []
    hints = {"done": "It was sent before. To send it again, use --again."}
    found = [hints[row.decision] for row in plan.rows if row.decision in hints]
    if any(row.reason.startswith("the balance of") for row in plan.rows):
        found.append("To let the balance become negative, use --allow-negative.")
    return found


def _state(entry: Entry) -> str:
    return "not carried out" if entry.state == "planned" and entry.attempts else _STATES[entry.state]


def _about(entry: Entry) -> str:
    whom = f", customer {entry.customer_id}" if entry.customer_id else ""
    return f"action {entry.action_id}{whom}"


def _when(moment: datetime | None) -> str | None:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else None
