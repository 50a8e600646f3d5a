"""Carries out plans that read no list, for the commands that change what is in the warehouse or build models."""

from __future__ import annotations

from cli.terminal.console import Terminal
from cli.terminal.interrupts import Signalled
from cli.terminal.pipes import DeafConsole
from dbt_like_sql.runner import Project
from runs.run import Finished, Plan, run
from runs.shop import Shop


def rebuild(plan: Plan, project: Project, shop: Shop, signalled: Signalled, *, work: str) -> Finished | None:
    """Carry out a plan, with progress and a summary on standard output.

    `work` is the word for it in messages, as in "The restore failed." Returns None if the run was stopped early.
    """
    terminal = Terminal(DeafConsole(), work, signalled)
    with terminal:
        for event in run(plan, project, shop):
            terminal.event(event)
    terminal.summary()
    return terminal.finished
