"""Progress and summary of a sync, a build, a restore or an erasure on the terminal."""

from __future__ import annotations

import signal
import time
from collections import Counter

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from cli.terminal.interrupts import Signalled
from cli.terminal.publications import line_of
from cli.terminal.tables import counted, plain, short
from dbt_like_sql.runner import NodeResult
from pipelines.errors import command
from pipelines.load.sync import ListResult
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.targets.publication import Publication
from runs.run import Event, Finished, Step

FIRST_QUERY = (
    "select from_state, to_state, direction, members, share from reports.rpt_tier_migration "
    "where period_type = 'to_date' and direction <> 'unchanged'"
)
_QUIET_SECONDS = 5.0
"""Progress interval when output is not a terminal."""

_RATED_ROWS = 500
"""Rates are shown from this number of rows on; those of shorter lists mean little."""


class Terminal:
    """Display of a run: a live line on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console, work: str = "sync", signalled: Signalled | None = None) -> None:
        # Let the terminal wrap long lines, so that lines in files are not wrapped.
        console.soft_wrap = True
        self.console = console
        self.work = work
        self._signalled = signalled
        self.lists: list[ListResult] = []
        self.nodes: list[NodeResult] = []
        self.finished: Finished | None = None
        self.failure: str | None = None
        self.stopped: signal.Signals | None = None
        """The signal that ended the run."""
        self._started = time.monotonic()
        self._printed = self._started
        self._list_started: dict[str, float] = {}
        self._spinner = Spinner("dots", "Starting")
        self._live = (
            Live(self._spinner, console=console, transient=True, refresh_per_second=8)
            if console.is_terminal and not console.is_dumb_terminal
            else None
        )

    def __enter__(self) -> Terminal:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._started

    def progress(self, name: str, rows: int) -> None:
        """Show the number of rows of a list read so far."""
        now = time.monotonic()
        passed = now - self._list_started.setdefault(name, self._printed)
        rate = f", {rows / passed:,.0f} rows/s" if passed >= 1 and rows >= _RATED_ROWS else ""
        title = ENDPOINTS[name].title
        if self._live:
            self._show(f"Reading {title}: {rows:,} rows{rate}")
        elif now - self._printed > _QUIET_SECONDS:
            self._printed = now
            self.console.print(f"  reading {title}: {rows:,} rows so far{rate}", highlight=False)

    def notice(self, sentence: str) -> None:
        """Print a warning, such as that the server makes the run wait."""
        self._printed = time.monotonic()
        self.console.print(f"  [yellow]{plain(sentence)}[/yellow]", highlight=False)

    def event(self, event: Event) -> None:
        """Show an event of the run.

        Raises:
            KeyboardInterrupt: the process received a stop signal that dlt swallowed while it finished its load.
        """
        if self._signalled and self._signalled(wait=0):
            raise KeyboardInterrupt
        self._printed = time.monotonic()
        if isinstance(event, Step):
            self._step(event)
        elif isinstance(event, ListResult):
            self.lists.append(event)
            self._list(event)
        elif isinstance(event, NodeResult):
            self.nodes.append(event)
            if self.work == "build":
                self._node(event)
            self._show(f"Built {event.relation}, {len(self.nodes)} tables so far")
        elif isinstance(event, Publication):
            self.console.print(f"  {line_of(event)}", highlight=False)
        elif isinstance(event, Finished):
            self.finished = event

    def error(self, message: str) -> None:
        """Keep the reason why the run cannot go on, for the summary."""
        self.failure = message

    def _show(self, text: str) -> None:
        if self._live:
            self._spinner.update(text=Text(f"{text} ({self.seconds:.0f} s)"))

    def _step(self, step: Step) -> None:
        if step.text == "models":
            self._show("Building models")
        else:
            self._show(step.text)
            self.console.print(plain(step.text), highlight=False)

    def _list(self, result: ListResult) -> None:
        title = f"{ENDPOINTS[result.name].title:<19}"
        if result.complete:
            counts = result.counts
            self.console.print(
                f"  {title}{counts.rows_read:>10,} read {counts.rows_new:>9,} new {counts.rows_changed:>8,} changed"
                f" {counts.rows_deleted:>6,} deleted   {result.seconds:.1f} s",
                highlight=False,
            )
        else:
            self.console.print(f"  {title}[red]failed[/red]", highlight=False)

    def _node(self, node: NodeResult) -> None:
        name = f"{plain(node.relation):<48}"
        rows = f"{'view':>16}" if node.rows is None else f"{node.rows:>11,} rows"
        if node.status == "unchanged":
            self.console.print(f"  {name}{rows}   unchanged", style="dim", highlight=False)
        elif node.status == "success":
            tests = counted(len(node.tests), "test")
            self.console.print(f"  {name}{rows} {node.seconds:>7.2f} s   {tests}", highlight=False)
        else:
            colour = "red" if node.status in ("error", "failed") else "yellow"
            self.console.print(f"  {name}[{colour}]{node.status}[/{colour}]", highlight=False)

    def summary(self) -> None:
        """Print the outcome, notes and problems, and a query to try."""
        print_ = self.console.print
        if self.stopped:
            print_(f"\n[bold yellow]Stopped.[/bold yellow] {self.stopped_sentence}", highlight=False)
            return
        if self.failure:
            print_(f"\n[bold red]The {self.work} failed.[/bold red] {plain(self.failure)}", highlight=False)
            return
        if self.finished is None:
            print_(f"\n[bold red]The {self.work} ended early.[/bold red] Nothing was published.")
            return
        done, problems = self.finished, self.finished.problems
        print_("")
        self._print_models()
        for line in self.notes():
            print_(f"[yellow]Note[/yellow]       {plain(line)}", highlight=False)
        for finding in done.findings:
            print_(f"[yellow]Trust[/yellow]      {plain(finding)}", highlight=False)
        for problem in problems:
            print_(f"[red]Problem[/red]    {plain(problem)}", highlight=False)
        if done.published:
            kind = " (a demo with simulated data)" if done.is_demo else ""
            print_(
                f"Warehouse  {plain(short(done.warehouse))}{kind}, {done.size_bytes / 1e6:.1f} MB, "
                f"as of {done.observed_at:%Y-%m-%d %H:%M} UTC",
                highlight=False,
            )
        if done.report:
            print_(f"Report     {plain(short(done.report))}", highlight=False)
        outcome = "[bold red]Failed[/bold red]" if problems else "[bold green]Done[/bold green]"
        print_(f"{outcome} in {self.seconds:.0f} s.", highlight=False)
        if done.published and self.work == "sync":
            print_(f'\nTry:\n  {command()} query "{FIRST_QUERY}"', highlight=False)

    @property
    def stopped_sentence(self) -> str:
        """State of the warehouse after a run that was stopped."""
        if self.finished and self.finished.published:
            return "The warehouse had already been published and is intact."
        return (
            "Nothing was published: readers keep the previous data, and the next sync starts from the last complete "
            "state."
        )

    def _print_models(self) -> None:
        if not self.nodes:
            return
        built = [node for node in self.nodes if node.kind == "model" and node.status != "dropped"]
        status = Counter(node.status for node in built)
        others = ", ".join(f"{count} {name}" for name, count in status.items() if name != "success")
        self.console.print(
            f"Models     {status['success']} built" + (f", {others}" if others else ""), highlight=False
        )
        tests = Counter(test.status for node in self.nodes for test in node.tests)
        failed = tests["fail"] + tests["error"]
        warnings = counted(tests["warn"], "warning")
        self.console.print(f"Checks     {tests['pass']} passed, {warnings}, {failed} failed", highlight=False)

    def notes(self) -> list[str]:
        """Return sentences about anything unusual that is not a failure."""
        lines = [f"{test.node}: {test.name}: {test.message}" for test in self._warned()]
        lines += [f"{node.relation}: {node.message}" for node in self.nodes if node.status == "dropped"]
        for result in self.lists:
            lines += result.warnings
            title = ENDPOINTS[result.name].title
            if result.counts.rows_quarantined:
                lines.append(
                    f"{title}: {counted(result.counts.rows_quarantined, 'row')} could not be parsed. "
                    "The reason is in rivo_raw._quarantine."
                )
            if result.new_columns:
                lines.append(f"{title}: new columns, not documented yet: {', '.join(result.new_columns)}.")
        return lines

    def _warned(self) -> list:
        return [test for node in self.nodes for test in node.tests if test.status == "warn"]
