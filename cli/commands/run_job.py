"""Runs the Dagster job `daily_sync` in this process and shows its progress."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Collection

import dagster as dg
import sqlalchemy as sa

from assets.definitions import defs
from assets.instance.home import open_instance, storage_trouble
from assets.instance.storage import keep_connections
from assets.keys import raw_key
from assets.ops import watched_by
from assets.shops import names_of_several
from cli import exits
from cli.commands.sync_choices import SyncChoices
from cli.terminal.console import Terminal
from cli.terminal.interrupts import Signalled
from cli.terminal.pipes import DeafConsole
from cli.terminal.sync_report import as_text, report
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import Settings
from pipelines.warehouse.raw_tables import history_name


def run_sync(signalled: Signalled, choices: SyncChoices, *, shop: str = "", as_json: bool) -> int:
    """Run one sync, show its progress and its result, and return the exit code.

    With `as_json`, one JSON document goes to standard output and everything else to standard error.
    """
    terminal = Terminal(DeafConsole(stderr=as_json), signalled=signalled)
    code = execute(terminal, signalled, choices, shop)
    terminal.summary()
    if as_json:
        sys.stdout.write(as_text(report(terminal, code)))
    return code


def execute(terminal: Terminal, signalled: Signalled, choices: SyncChoices, shop: str) -> int:
    """Run one sync through Dagster, so that Dagster's UI shows it, and return the exit code.

    `shop` is one of RIVO_SHOPS; empty without it.
    """
    instance = open_instance()
    # Here too, not only in the op: Dagster writes one event per planned table before the op begins.
    keep_connections(instance)
    # Imported modules stay, so the search for garbage need not look at them.
    gc.freeze()
    job = defs.resolve_job_def("daily_sync")
    config = {"full": choices.full, "allow_shrink": list(choices.allow_shrink), "rewind": choices.rewind}
    succeeded = False
    try:
        with terminal, watched_by(terminal), instance:
            succeeded = job.execute_in_process(
                instance=instance,
                asset_selection=_without_other_lists(job, choices.only) if choices.only else None,
                # The partition of a shop; Dagster adds the tags that its own partitioned runs have.
                partition_key=shop if shop in names_of_several(Settings.load()) else None,
                raise_on_error=False,
                run_config={
                    "ops": {"sync": {"config": config}},
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
            ).success
    except KeyboardInterrupt:
        terminal.stopped = signal.SIGINT
    except sa.exc.SQLAlchemyError as error:
        done = terminal.finished and terminal.finished.published
        state = "The warehouse had already been published." if done else "Nothing was published."
        terminal.error(f"{storage_trouble(error)} {state}")
    code = exits.DONE if succeeded else exits.FAILED
    if not succeeded and (stopped := signalled()):
        terminal.stopped = stopped
        code = exits.TERMINATED if stopped == signal.SIGTERM else exits.INTERRUPTED
    return code


def _without_other_lists(job: dg.JobDefinition, only: Collection[str]) -> list[dg.AssetKey]:
    left_out = {
        key
        for name, endpoint in ENDPOINTS.items()
        if name not in only
        for key in (raw_key(name), raw_key(history_name(endpoint)))
    }
    return [key for key in job.asset_layer.executable_asset_keys if key not in left_out]
