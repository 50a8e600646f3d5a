"""One run, whatever part of it is asked for: read lists, build models, check, publish. Knows nothing of Dagster."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb
from pydantic import SecretStr

from dbt_like_sql.runner import NodeResult, Project, build, last_results
from pipelines.errors import WarehouseError
from pipelines.load.sync import ListResult, SyncOptions, sync_lists
from pipelines.settings import Settings
from pipelines.target_settings import TargetSetting
from pipelines.targets.publication import Publication
from pipelines.warehouse import RAW, Build, Warehouse
from pipelines.warehouse.action_tables import load_outbox
from pipelines.warehouse.raw_tables import ensure_tables, write_settings
from pipelines.webhooks.loading import load_deliveries
from runs.demo import DEMO_SYNCS, demo_store, demo_times
from runs.events import Event, Finished, ListsRead, Page, Plan, Step
from runs.pictures import picture
from runs.publishing import publish_to, pull_newest, purge_targets
from runs.samples import LAYERS as LAYERS_WITH_PAGES
from runs.samples import sample
from runs.shop import Shop
from runs.waiting import wait_for_actions

__all__ = ["Event", "Finished", "ListsRead", "Page", "Plan", "Step", "run"]

_TRUST = "rpt_data_trust"
_REPORTED = "rpt_program_monthly"
"""The model without which there is no report page."""


@dataclass(frozen=True)
class _Read:
    """The result of reading the lists."""

    observed_at: datetime | None
    problems: tuple[str, ...] = ()
    is_empty: bool = False
    """Whether lists were asked for and none could be read."""


@dataclass(frozen=True)
class _Built:
    """The result of building the models."""

    problems: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


def run(plan: Plan, project: Project, shop: Shop) -> Iterator[Event]:
    """Carry a plan out in a working copy of the shop's warehouse, then publish it.

    Yields:
        results as they come, `Finished` last.

    Raises:
        RivoError: nothing could be done at all; readers and the next run see the state before.
    """
    if shop.settings.models == "none":
        project = replace(project, nodes={}, singular_tests=(), actions={})
        plan = replace(plan, models=[])
    if plan.targets and not (plan.lists or plan.models or plan.publish):
        yield from _publish_alone(plan, project, shop)
        return
    if plan.lists:
        wait_for_actions(shop.warehouse, plan.lists.notice)
    with shop.warehouse.build(is_fresh=plan.is_fresh) as work:
        read = yield from _read(work, plan, shop)
        built = _Built() if read.is_empty else (yield from _build(work, plan, project, read.observed_at))
        blocked = _check(work, plan, project, read, built)
        published, problems = _publish(work, plan, shop.warehouse, read, blocked)
        shows_report = published and shop.settings.report and _REPORTED in project.nodes
        report, not_written = _report(shop) if shows_report else (None, ())
    # Outside of the lock: a slow target must not keep another command from the warehouse.
    publications = (yield from _publish_to_targets(plan, project, shop)) if published else ()
    yield Finished(
        warehouse=shop.warehouse,
        published=published,
        is_demo=shop.is_demo,
        observed_at=read.observed_at,
        size_bytes=shop.warehouse.size_bytes,
        problems=(*read.problems, *blocked, *problems, *not_written, *_failed(publications)),
        report=report,
        publications=publications,
        findings=built.findings,
    )


def _read(work: Build, plan: Plan, shop: Shop) -> Generator[Event, None, _Read]:
    """Prepare the raw tables, read the lists of the plan into them, then load what webhooks have delivered."""
    ensure_tables(work.connection)
    load_outbox(work.connection, shop.warehouse.outbox)
    if plan.prepare:
        plan.prepare(work)
    write_settings(work.connection, shop.settings.timezone)
    read = yield from _read_lists(work, plan, shop)
    try:
        deliveries = load_deliveries(work, shop.settings, keeps_bodies=plan.is_fresh)
    except WarehouseError as error:
        # Syncs do without webhooks, so a journal that cannot be used is a problem, but no reason to stop.
        return replace(read, problems=(*read.problems, str(error)))
    if deliveries.rows_total:
        yield deliveries
    return read


def _read_lists(work: Build, plan: Plan, shop: Shop) -> Generator[Event, None, _Read]:
    """Read the lists of the plan; without lists, return when they were last read."""
    if plan.lists is None:
        observed_at, log_rows = _log_state(work.connection)
        if not log_rows:
            raise WarehouseError(
                f"Nothing has been synced into {shop.warehouse} yet, so there is nothing to build from. "
                "Run `make sync` first."
            )
        return _Read(observed_at)
    results: list[ListResult] = []
    reading = _sync_demo if shop.is_demo else sync_lists
    for event in reading(work, shop.settings, plan.lists):
        if isinstance(event, ListResult):
            results.append(event)
        yield event
    state = ListsRead(*_log_state(work.connection))
    yield state
    return _Read(
        state.observed_at,
        tuple(result.error for result in results if result.error),
        is_empty=bool(results) and not any(result.complete for result in results),
    )


def _build(
    work: Build, plan: Plan, project: Project, observed_at: datetime | None
) -> Generator[Event, None, _Built]:
    """Build and test the models of the plan; what fails keeps its last good version."""
    if not plan.models and project.nodes:
        return _Built()
    problems: list[str] = []
    findings: tuple[str, ...] = ()
    if project.nodes:
        yield Step("models")
    # Without any model in the project, those that an earlier run built are dropped.
    rebuild = plan.models if plan.everything else _not_shown(work.connection, plan, project)
    for node in build(work.connection, project, plan.models, as_of=observed_at, rebuild=rebuild):
        if node.status in ("error", "failed"):
            _raise_for_storage(work, node)
            problems.append(f"{node.relation}: {node.message}")
        if node.name == _TRUST and node.is_good:
            findings = _findings(work.connection)
        if plan.with_pages and node.status == "success" and node.schema in LAYERS_WITH_PAGES:
            yield _page(work.connection, project, node)
        yield node
    return _Built(tuple(problems), findings)


def _not_shown(connection: duckdb.DuckDBPyConnection, plan: Plan, project: Project) -> list[str]:
    """Return the models of which the caller shows no version or another one than the last."""
    if plan.shown is None:
        return []
    builds = last_results(connection).builds
    relations = {name: project.node(name).relation for name in plan.models}
    return [
        name
        for name, relation in relations.items()
        if relation not in plan.shown
        or (builds.get(relation, {}).get("inputs") or "") != plan.shown[relation]
    ]


def _check(work: Build, plan: Plan, project: Project, read: _Read, built: _Built) -> tuple[str, ...]:
    """Return why what was built must not be published: failed models, or models of older rows."""
    if built.problems or read.is_empty or not plan.publish:
        return built.problems
    return _outdated(work.connection, project, read.observed_at)


def _publish(
    work: Build, plan: Plan, warehouse: Warehouse, read: _Read, blocked: tuple[str, ...]
) -> tuple[bool, tuple[str, ...]]:
    """Publish the working copy, or keep it for the next run. Returns whether it was published, and why not."""
    if plan.publish and not blocked and not read.is_empty:
        work.publish()
        return True, ()
    # Where no list could be read, the log says so: that is kept too, unless there is no warehouse yet.
    if not read.is_empty or warehouse.exists:
        work.keep()
    if blocked:
        what = "read" if plan.lists else "built"
        sentence = (
            f"{warehouse} was left as it was, because a model or a blocking check failed. What was {what} "
            "is kept and will be published by the next run that passes."
        )
        return False, (sentence,)
    if read.is_empty:
        return False, (f"No list could be read, so nothing was published. {warehouse} is as it was.",)
    return False, ()


def _report(shop: Shop) -> tuple[Path | None, tuple[str, ...]]:
    # Imported here, since Dagster's other processes load this module and write no page.
    from runs.report.writing import write_after_run

    return write_after_run(shop)


def _publish_to_targets(
    plan: Plan, project: Project, shop: Shop
) -> Generator[Event, None, tuple[Publication, ...]]:
    """Publish to the shop's targets; if a person was erased, to each that ever got a copy, without older versions."""
    if plan.erases:
        publishing = purge_targets(shop, project)
    elif targets := _targets(plan, shop):
        yield Step(f"Publishing to {', '.join(target.name for target in targets)}")
        publishing = publish_to(shop, project, targets)
    else:
        return ()
    publications = []
    for publication in publishing:
        yield publication
        publications.append(publication)
    return tuple(publications)


def _publish_alone(plan: Plan, project: Project, shop: Shop) -> Generator[Event, None, None]:
    """Publish what is published already to targets, and nothing else."""
    pull_newest(shop)
    publications = yield from _publish_to_targets(plan, project, shop)
    yield Finished(
        warehouse=shop.warehouse,
        published=False,
        is_demo=shop.is_demo,
        observed_at=None,
        size_bytes=shop.warehouse.size_bytes,
        problems=_failed(publications),
        publications=publications,
    )


def _targets(plan: Plan, shop: Shop) -> list[TargetSetting]:
    return [
        target for target in shop.settings.to_publish if plan.targets is None or target.name in plan.targets
    ]


def _failed(publications: Iterable[Publication]) -> tuple[str, ...]:
    return tuple(publication.problem for publication in publications if publication.problem)


def _raise_for_storage(work: Build, node: NodeResult) -> None:
    """Raise WarehouseError where not a model or test failed, but the disk or the file did."""
    # Only errors: other messages may quote rows.
    messages = (
        [node.message] if node.status == "error" else [t.message for t in node.tests if t.status == "error"]
    )
    for message in messages:
        if failure := work.storage_failure(message or ""):
            raise failure


def _findings(connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    rows = connection.execute(f"select finding from reports.{_TRUST} where status = 'attention'").fetchall()
    return tuple(finding for (finding,) in rows)


def _sync_demo(work: Build, settings: Settings, options: SyncOptions) -> Iterator[Step | ListResult]:
    """Sync the sandbox store: a weekly sync for each of thirteen weeks at first, then one a day later.

    Only the last sync's results are reported, and failures.
    """
    yield Step(
        f"Starting the sandbox store: {settings.variable('api_key')} is not set, so this is a demo with simulated data."
    )
    with demo_store(settings.shop) as store:
        settings = settings.model_copy(
            update={"api_key": SecretStr(store.key), "api_url": store.url, "rate_limit": 10_000.0}
        )
        times = demo_times(store.now, _log_state(work.connection)[0])
        for number, now in enumerate(times, 1):
            if len(times) > 1:
                yield Step(f"Replaying weekly sync {number} of {DEMO_SYNCS}, {now:%d %b %Y}")
            store.set_clock(now)
            last = number == len(times)
            quiet = options if last else replace(options, progress=lambda _name, _rows: None)
            for result in sync_lists(work, settings, quiet):
                if last or not result.complete:
                    yield result


def _page(connection: duckdb.DuckDBPyConnection, project: Project, node: NodeResult) -> Page:
    try:
        drawn = picture(connection, node.relation)
        image = drawn.markdown() if drawn else ""
    except Exception as error:
        # A changed report may have other column names, and a name may hold what no font can draw.
        image = f"The picture could not be drawn ({type(error).__name__})."
    return Page(node.relation, sample(connection, project.node(node.name)), image)


def _outdated(
    connection: duckdb.DuckDBPyConnection, project: Project, observed_at: datetime | None
) -> tuple[str, ...]:
    """Return why tables must not be shown: their last build failed, or they were built from older rows."""
    builds = last_results(connection).builds
    tables = [node.relation for node in project.nodes.values()]
    failed = [name for name in tables if name in builds and builds[name]["status"] != "success"]
    old = [name for name in tables if name not in builds or builds[name]["data_as_of"] != observed_at]
    end = "They would not match newer tables. Build all models."
    if failed:
        return (
            f"{_some(failed)} failed or had to be skipped in an earlier run, and were not built in this one. {end}",
        )
    if old:
        return (
            f"{_some(old)} were not built since lists were last read, nor in this run. {end} "
            "In Dagster, run the job models_only.",
        )
    return ()


def _some(names: Iterable[str]) -> str:
    first = list(names)
    return f"{', '.join(first[:3])}{' and others' if len(first) > 3 else ''}"


def _log_state(connection: duckdb.DuckDBPyConnection) -> tuple[datetime | None, int]:
    """Return the last observation time, and the number of rows of the log."""
    row = connection.execute(
        f"select max(observed_at) filter (where complete), count(*) from {RAW}.sync_log"
    ).fetchone()
    return row or (None, 0)
