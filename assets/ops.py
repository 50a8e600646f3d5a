"""The op behind all assets: it runs what is selected and tells Dagster what became of it.

One op for all, because one sync is one unit: it works in one copy of the warehouse, a failed list must not
keep the models from being built with what there is, and everything is published together.
"""

from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Protocol

import dagster as dg
from pydantic import Field

from assets import specs as lineage
from assets.alerts import alert_on_failure
from assets.checks import check_specs
from assets.instance.retention import delete_old_runs
from assets.instance.retries import loaded_before
from assets.instance.storage import keep_connections
from assets.keys import PUBLISHED, raw_key, relation_key
from assets.materializations import results
from dbt_like_sql.runner import NodeResult, Project
from pipelines.errors import RivoError
from pipelines.load.sync import ListResult, SyncOptions
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import Settings
from pipelines.warehouse.raw_tables import history_name
from runs.run import Event, Finished, Plan, Step, run


class Reporter(Protocol):
    """Somebody who watches a run: the `rivo` command on a terminal."""

    def progress(self, name: str, rows: int) -> None:
        """A list has been read up to so many rows."""

    def notice(self, sentence: str) -> None:
        """The server makes the run wait."""

    def event(self, event: Event) -> None:
        """Something ended or begins."""

    def error(self, message: str) -> None:
        """The run cannot go on."""


class Silent:
    """Nobody watches; Dagster's own log has it all."""

    def progress(self, name: str, rows: int) -> None:
        """Nothing."""

    def notice(self, sentence: str) -> None:
        """Nothing."""

    def event(self, event: Event) -> None:
        """Nothing."""

    def error(self, message: str) -> None:
        """Nothing."""


_watching: ContextVar[Reporter | None] = ContextVar("watching", default=None)


@contextmanager
def watched_by(reporter: Reporter) -> Iterator[None]:
    """Tell `reporter` of the runs that this process executes inside the block."""
    token = _watching.set(reporter)
    try:
        yield
    finally:
        _watching.reset(token)


POOL = "rivo_warehouse"
"""Runs that Dagster queues take turns at it (`dagster.yaml`); the warehouse's own lock keeps out all others."""


class SyncConfig(dg.Config):
    """What a run may be told: read every list completely, accept lists that shrank a lot, accept an earlier clock."""

    full: bool = False
    allow_shrink: list[str] = Field(default=[])
    rewind: bool = False


def sync_assets(project: Project) -> dg.AssetsDefinition:
    """All assets that a run can make: raw tables, seeds, models, and the published file."""

    @dg.multi_asset(
        name="sync",
        specs=[
            *lineage.raw_specs(),
            *lineage.node_specs(project),
            lineage.published_spec(project),
        ],
        check_specs=check_specs(project),
        can_subset=True,
        pool=POOL,
        hooks={alert_on_failure},
    )
    def sync(context: dg.AssetExecutionContext, config: SyncConfig) -> Iterator[Any]:
        reporter = _watching.get() or Silent()
        selected = context.selected_asset_keys
        checks = context.selected_asset_check_keys

        def notice(sentence: str) -> None:
            reporter.notice(sentence)
            context.log.warning(sentence)

        keep_connections(context.instance)
        events: list[Event] = []
        try:
            plan = _plan(selected, checks, config, reporter, notice, project)
            plan = _without(plan, loaded_before(context.run, context.instance))
            settings = Settings.load()
            keys = list(context.assets_def.keys)
            if old := delete_old_runs(context.instance, context.run_id, keys, settings.keep_runs_days):
                context.log.info(f"Deleted {old} runs of more than {settings.keep_runs_days} days ago.")
            for event in run(plan, settings, project):
                reporter.event(event)
                _log(context, event)
                events.append(event)
            # Only now: what a run throws away when it breaks off must not show as materialized.
            for result in results(project, events):
                if isinstance(result, dg.AssetCheckResult):
                    assert result.asset_key is not None
                    wanted = dg.AssetCheckKey(result.asset_key, str(result.check_name)) in checks
                else:
                    wanted = result.asset_key in selected
                if wanted:
                    yield result
            if isinstance(event, Finished) and event.problems:
                raise dg.Failure(description="\n".join(event.problems), allow_retries=False)
        except RivoError as error:
            reporter.error(str(error))
            # A line of its own, since Dagster shows a traceback with the failure.
            context.log.error(str(error))
            raise dg.Failure(description=str(error), allow_retries=False) from None
        except (dg.Failure, GeneratorExit):
            raise
        except Exception as error:
            reporter.error(
                f"This should not have happened: {type(error).__name__}: {str(error).rstrip('.')}. Readers see what "
                "was last published whole. The whole story is in the run's log in the Dagster UI (`make dev`)."
            )
            raise

    return sync


def _plan(
    selected: Set[dg.AssetKey],
    checks: Set[dg.AssetCheckKey],
    config: SyncConfig,
    reporter: Reporter,
    notice: Callable[[str], None],
    project: Project,
) -> Plan:
    unknown = sorted(set(config.allow_shrink) - set(ENDPOINTS))
    if unknown:
        raise RivoError(f"allow_shrink: {', '.join(unknown)}: the lists are {', '.join(ENDPOINTS)}.")
    lists = [
        name
        for name, endpoint in ENDPOINTS.items()
        if raw_key(name) in selected or raw_key(history_name(endpoint)) in selected
    ]
    options = SyncOptions(
        only=lists,
        full=config.full,
        allow_shrink=config.allow_shrink,
        rewind=config.rewind,
        progress=reporter.progress,
        notice=notice,
    )
    # A check is run by building its table again: the same raw rows give the same table.
    wanted = selected | {check.asset_key for check in checks}
    return Plan(
        lists=options if lists else None,
        models=[n.name for n in project.nodes.values() if relation_key(n.relation) in wanted],
        publish=PUBLISHED in selected,
        with_pages=True,
    )


def _without(plan: Plan, landed: Set[str]) -> Plan:
    """The plan of a run that goes on where another one failed: the lists that landed are not read again."""
    if plan.lists is None or not landed:
        return plan
    left = [name for name in plan.lists.only if name not in landed]
    return replace(plan, lists=replace(plan.lists, only=left) if left else None)


def _log(context: dg.AssetExecutionContext, event: Event) -> None:
    if isinstance(event, Step):
        context.log.info(event.text)
    elif isinstance(event, ListResult):
        if event.error:
            context.log.error(event.error)
        for warning in event.warnings:
            context.log.warning(warning)
    elif isinstance(event, NodeResult) and event.status in ("error", "failed"):
        context.log.error(f"{event.relation}: {event.message}")
    elif isinstance(event, NodeResult) and event.status == "skipped":
        context.log.warning(f"{event.relation}: {event.message}")
    elif isinstance(event, NodeResult) and event.status == "dropped":
        context.log.info(f"{event.relation}: {event.message}")
