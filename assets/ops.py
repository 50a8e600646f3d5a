"""The op that materializes all assets.

All assets share one op because a sync is one unit of work: it uses one working copy of the warehouse, it builds the
models even if a list could not be read, and it publishes all tables together.
"""

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Protocol

import dagster as dg
from pydantic import Field

from assets.alerts import alert_on_failure
from assets.checks import check_specs
from assets.instance.retention import delete_old_runs
from assets.instance.retries import loaded_before
from assets.instance.storage import keep_connections, one_transaction
from assets.keys import PUBLISHED, raw_key, relation_key, target_key
from assets.materializations import FINGERPRINT, Result, results
from assets.shops import by_shop, project_of, settings_of, shop_of
from assets.specs import node_specs, published_spec, raw_specs
from dbt_like_sql.runner import NodeResult, Project
from pipelines.errors import RivoError
from pipelines.load.sync import ListResult, SyncOptions
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import Settings
from pipelines.targets.publication import Publication
from pipelines.warehouse.raw_tables import history_name
from runs.run import Event, Finished, Plan, Step, run
from runs.shop import shop_to_sync

POOL = "rivo_warehouse"
"""The Dagster pool of all runs. `dagster.yaml` limits it to one run at a time, so that further runs wait in the queue
instead of failing because the warehouse is locked. With several shops there is no pool: `dagster.yaml` limits the runs
of each partition to one at a time."""


class RunObserver(Protocol):
    """Receives the progress of a run, for example to show it on a terminal."""

    def progress(self, name: str, rows: int) -> None:
        """Report the number of rows read so far from a list."""

    def notice(self, sentence: str) -> None:
        """Report that the run waits, for example for the rate limit."""

    def event(self, event: Event) -> None:
        """Report an event of the run."""

    def error(self, message: str) -> None:
        """Report the error that ended the run."""


class NullObserver:
    """The observer of runs that no terminal shows: does nothing, since Dagster's own log has everything."""

    def progress(self, name: str, rows: int) -> None:
        """Do nothing."""

    def notice(self, sentence: str) -> None:
        """Do nothing."""

    def event(self, event: Event) -> None:
        """Do nothing."""

    def error(self, message: str) -> None:
        """Do nothing."""


_observer: ContextVar[RunObserver | None] = ContextVar("observer", default=None)


@contextmanager
def watched_by(observer: RunObserver) -> Iterator[None]:
    """Report the runs that this process executes inside the block to an observer."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


class SyncConfig(dg.Config):
    """The options of one run; the same as those of `rivo sync`."""

    full: bool = Field(default=False, description="Read every list from its first row.")
    allow_shrink: list[str] = Field(
        default=[], description="Lists that may be much shorter than at the last sync."
    )
    rewind: bool = Field(
        default=False,
        description="Rivo's clock was ahead in an earlier sync: count what was read then as read now.",
    )


def sync_assets(
    project: Project,
    partitions: dg.PartitionsDefinition[str] | None = None,
    targets: Sequence[dg.AssetSpec] = (),
) -> dg.AssetsDefinition:
    """Return the definition of all assets that a run can materialize: from the raw tables to the targets."""

    @dg.multi_asset(
        name="sync",
        specs=by_shop([*raw_specs(), *node_specs(project), published_spec(project), *targets], partitions),
        check_specs=check_specs(project, partitions),
        partitions_def=partitions,
        can_subset=True,
        pool=None if partitions else POOL,
        hooks={alert_on_failure},
    )
    def sync(context: dg.AssetExecutionContext, config: SyncConfig) -> Iterator[Any]:
        observer = _observer.get() or NullObserver()
        keep_connections(context.instance)
        try:
            yield from _run(context, config, observer, project)
        except RivoError as error:
            observer.error(str(error))
            # Logged as well, since Dagster shows a traceback with the failure.
            context.log.error(str(error))
            raise dg.Failure(description=str(error), allow_retries=False) from None
        except (dg.Failure, GeneratorExit):
            raise
        except Exception as error:
            observer.error(
                f"Unexpected error: {type(error).__name__}: {str(error).rstrip('.')}. The published warehouse is "
                "unchanged unless this run had already published it. See the traceback in the run's log in the "
                "Dagster UI (`make dev`)."
            )
            raise

    return sync


def _run(
    context: dg.AssetExecutionContext, config: SyncConfig, observer: RunObserver, project: Project
) -> Iterator[Result]:
    """Do what the run selects, and yield its results.

    Raises:
        RivoError: nothing could be done.
        Failure: a part of the run failed.
    """

    def notice(sentence: str) -> None:
        observer.notice(sentence)
        context.log.warning(sentence)

    settings = settings_of(context.run)
    project = project_of(project, settings)
    plan = _plan(context, config, observer.progress, notice, project, settings)
    plan = _without_lists(plan, loaded_before(context.run, context.instance))
    keys = list(context.assets_def.keys)
    if deleted := delete_old_runs(context.instance, context.run_id, keys, settings.keep_runs_days):
        context.log.info(
            f"Deleted {deleted} runs older than {settings.keep_runs_days} days from Dagster's storage."
        )
    events: list[Event] = []
    for event in run(plan, project, shop_to_sync(settings)):
        observer.event(event)
        _log(context, event)
        events.append(event)
    # Yielded only now: tables of a run that breaks off are discarded, and must not show as materialized.
    with one_transaction(context.instance):
        yield from (result for result in results(project, events) if _is_selected(context, result))
    if isinstance(event, Finished) and event.problems:
        raise dg.Failure(description="\n".join(event.problems), allow_retries=False)


def _plan(
    context: dg.AssetExecutionContext,
    config: SyncConfig,
    progress: Callable[[str, int], None],
    notice: Callable[[str], None],
    project: Project,
    settings: Settings,
) -> Plan:
    if unknown := sorted(set(config.allow_shrink) - set(ENDPOINTS)):
        raise RivoError(
            f"allow_shrink: there is no list {', '.join(unknown)}. The lists are {', '.join(ENDPOINTS)}."
        )
    selected = context.selected_asset_keys
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
        progress=progress,
        notice=notice,
    )
    # A check runs when its table is built, so a selected check builds its table again from the same raw rows.
    to_build = selected | {check.asset_key for check in context.selected_asset_check_keys}
    nodes = [node for node in project.nodes.values() if relation_key(node.relation) in to_build]
    return Plan(
        lists=options if lists else None,
        models=[node.name for node in nodes],
        publish=PUBLISHED in selected,
        targets=[target.name for target in settings.to_publish if target_key(target.name) in selected],
        with_pages=True,
        # A run without lists was started by a person, who expects that what was selected is built.
        everything=not lists,
        shown=_shown(context.instance, [node.relation for node in nodes], shop_of(context.run)),
    )


def _shown(instance: dg.DagsterInstance, relations: Sequence[str], shop: str) -> dict[str, str]:
    """Return the fingerprint in the last materialization of each table that has one, with several shops of the shop."""
    by_key = {relation_key(relation): relation for relation in relations}
    found = {}
    for last in _last_materializations(instance, list(by_key), shop):
        fingerprint = last.metadata.get(FINGERPRINT)
        found[by_key[last.asset_key]] = str(fingerprint.value) if fingerprint else ""
    return found


def _last_materializations(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey], shop: str
) -> Iterator[dg.AssetMaterialization]:
    events: list[dg.EventLogEntry | dg.EventLogRecord | None]
    if shop:
        # The record of an asset has the last materialization of any shop.
        filters = [dg.AssetRecordsFilter(key, asset_partitions=[shop]) for key in keys]
        events = [
            record for each in filters for record in instance.fetch_materializations(each, limit=1).records
        ]
    else:
        events = [record.asset_entry.last_materialization for record in instance.get_asset_records(keys)]
    for event in events:
        if event and event.asset_materialization:
            yield event.asset_materialization


def _without_lists(plan: Plan, loaded: Set[str]) -> Plan:
    """Return a plan that does not read the lists `loaded`."""
    if plan.lists is None or not loaded:
        return plan
    left = [name for name in plan.lists.only if name not in loaded]
    return replace(plan, lists=replace(plan.lists, only=left) if left else None)


def _is_selected(context: dg.AssetExecutionContext, result: Result) -> bool:
    if not isinstance(result, dg.AssetCheckResult):
        return result.asset_key in context.selected_asset_keys
    assert result.asset_key is not None
    check = dg.AssetCheckKey(result.asset_key, str(result.check_name))
    return check in context.selected_asset_check_keys


def _log(context: dg.AssetExecutionContext, event: Event) -> None:
    if isinstance(event, Step):
        context.log.info(event.text)
    elif isinstance(event, ListResult):
        if event.error:
            context.log.error(event.error)
        for warning in event.warnings:
            context.log.warning(warning)
    elif isinstance(event, Publication) and event.problem:
        context.log.error(event.problem)
    elif isinstance(event, NodeResult) and event.status in ("error", "failed"):
        context.log.error(f"{event.relation}: {event.message}")
    elif isinstance(event, NodeResult) and event.status == "skipped":
        context.log.warning(f"{event.relation}: {event.message}")
    elif isinstance(event, NodeResult) and event.status == "dropped":
        context.log.info(f"{event.relation}: {event.message}")
