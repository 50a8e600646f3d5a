"""Progress of a sync of several shops: a line for each shop, which says at last what became of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.text import Text

from cli import exits
from cli.terminal.pipes import DeafConsole
from cli.terminal.tables import counted, plain
from pipelines.errors import command

_QUERY = "select shop, month, members_end, points_issued from reports.rpt_program_monthly order by all"


class ShopsConsole:
    """Shows what each shop is at, on a terminal; and a line when it is done, everywhere."""

    def __init__(self, names: Sequence[str], at_once: int, *, to_stderr: bool) -> None:
        self._console = DeafConsole(stderr=to_stderr, soft_wrap=True)
        self._width = max(map(len, names))
        self._began = time.monotonic()
        self._at: dict[str, tuple[float, str]] = {}
        self._live = (
            Live(console=self._console, transient=True, refresh_per_second=4)
            if self._console.is_terminal and not self._console.is_dumb_terminal
            else None
        )
        self.say(f"Syncing {counted(len(names), 'shop')}, {at_once} at a time.")

    def __enter__(self) -> ShopsConsole:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    @property
    def seconds(self) -> float:
        """Seconds since the sync began."""
        return time.monotonic() - self._began

    def at(self, shop: str, text: str) -> None:
        """Show what a shop is at."""
        began, _ = self._at.get(shop, (time.monotonic(), ""))
        self._at[shop] = (began, text)
        self._refresh()

    def note(self, shop: str, sentence: str) -> None:
        """Print a warning about a shop."""
        self.say(f"{shop:<{self._width}}  [yellow]{plain(sentence)}[/yellow]")

    def done(self, shop: str, document: Mapping[str, Any]) -> None:
        """Print what became of a shop, from the document of its sync."""
        self._at.pop(shop, None)
        self._refresh()
        colour = {exits.DONE: "green", exits.FAILED: "red"}.get(document["exit_code"], "yellow")
        outcome = f"[{colour}]{document['outcome']}[/{colour}]"
        self.say(f"[bold]{shop:<{self._width}}[/bold]  {outcome}{_facts(document)}")
        for problem in document["problems"]:
            self.say(f"{'':<{self._width}}  [red]Problem[/red]  {plain(problem)}")

    def summary(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Print how many shops were published, and a query to try."""
        published = [
            name for name, each in documents.items() if (each.get("warehouse") or {}).get("published")
        ]
        # One that was published when a signal came is done.
        failed = [
            name
            for name, each in documents.items()
            if each["exit_code"] == exits.FAILED
            or (each["exit_code"] != exits.DONE and name not in published)
        ]
        text = f"{len(published)} of {counted(len(documents), 'shop')} published in {self.seconds:.0f} s"
        self.say(f"\n{text}; not done: {', '.join(failed)}." if failed else f"\n{text}.")
        if published:
            self.say(f'\nTry:\n  {command()} query --all-shops "{_QUERY}"')

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def _refresh(self) -> None:
        if self._live:
            lines = [
                Text(f"{shop:<{self._width}}  {text} ({time.monotonic() - began:.0f} s)", "dim")
                for shop, (began, text) in self._at.items()
            ]
            self._live.update(Group(*lines))


def _facts(document: Mapping[str, Any]) -> str:
    """Return the figures of a sync, as the rest of a line: empty if it did not get that far."""
    if not document.get("warehouse"):
        return ""
    done, lists = document["warehouse"], document["lists"]
    new, changed = (sum(each[name] for each in lists) for name in ("rows_new", "rows_changed"))
    built = document["models"].get("success", 0)
    facts = [f"{new:,} rows new", f"{changed:,} changed", f"{built} models built"]
    if findings := len(document["trust"]):
        facts.append(counted(findings, "finding"))
    if done["published"]:
        demo = ", a demo" if done["is_demo"] else ""
        facts.append(
            f"{done['size_bytes'] / 1e6:.1f} MB as of {done['observed_at'][:16].replace('T', ' ')} UTC{demo}"
        )
    return f" in {document['seconds']:.0f} s: {', '.join(facts)}"
