"""One run, whatever part of it is asked for: lists, models, publishing. Knows nothing of Dagster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import duckdb
from pydantic import SecretStr

from dbt_like_sql.runner import NodeResult, Project, build, last_results
from pipelines.errors import WarehouseError
from pipelines.load.sync import ListResult, SyncOptions, sync_lists
from pipelines.settings import Settings
from pipelines.warehouse import RAW, Build, Warehouse
from pipelines.warehouse.raw_tables import ensure_tables, write_settings
from runs.demo import DEMO_SYNCS, demo_store, demo_times
from runs.pictures import PICTURES
from runs.samples import LAYERS as SHOWN
from runs.samples import sample
from runs.shop import Shop, shop_to_sync

_TRUST = "rpt_data_trust"


@dataclass(frozen=True)
class Plan:
    """What to do: `lists` to read (with which options), `models` and seeds to build, and whether to publish.

    `prepare` changes the working copy before anything else, which begins empty if `is_fresh`.
    """

    lists: SyncOptions | None
    models: Collection[str]
    publish: bool
    with_pages: bool = False
    """Whether to tell what the page of each table shows: a few rows, a picture."""
    prepare: Callable[[Build], object] | None = None
    is_fresh: bool = False


@dataclass(frozen=True)
class Page:
    """What the page of a table shows besides numbers, in Markdown; empty where it has nothing to show."""

    relation: str
    sample: str
    picture: str


@dataclass(frozen=True)
class Step:
    """A sentence on what begins now."""

    text: str


@dataclass(frozen=True)
class ListsRead:
    """All lists asked for have been read, or have failed."""

    observed_at: datetime | None
    log_rows: int
    """Rows of `rivo_raw.sync_log` now."""


@dataclass(frozen=True)
class Finished:
    """How the run ended. `published` is false when models or blocking checks failed or nothing could be read."""

    warehouse: Warehouse
    published: bool
    is_demo: bool
    observed_at: datetime | None
    size_bytes: int
    problems: tuple[str, ...]
    """Sentences on what went wrong; the run has failed when there is one."""
    findings: tuple[str, ...] = ()
    """Sentences on why not every figure can be trusted, from `reports.rpt_data_trust`."""


Event = Step | ListResult | ListsRead | Page | NodeResult | Finished


def run(plan: Plan, settings: Settings, project: Project, shop: Shop | None = None) -> Iterator[Event]:
    """Carry a plan out in a working copy of the shop's warehouse (by default the one a sync would use), then publish.

    Yields:
        results as they come, `Finished` last.

    Raises:
        RivoError: nothing could be done at all; readers and the next run see the state before.
    """
    shop = shop or shop_to_sync(settings)
    problems: list[str] = []
    results: list[ListResult] = []
    with shop.warehouse.build(is_fresh=plan.is_fresh) as work:
        ensure_tables(work.connection)
        if plan.prepare:
            plan.prepare(work)
        write_settings(work.connection, settings.timezone)
        if plan.lists:
            reading = (
                _sync_demo(work, settings, plan.lists)
                if shop.is_demo
                else sync_lists(work, settings, plan.lists)
            )
            for event in reading:
                if isinstance(event, ListResult):
                    results.append(event)
                    problems += [event.error] if event.error else []
                yield event
            yield ListsRead(*_log_state(work.connection))
        elif not _log_state(work.connection)[1]:
            raise WarehouseError(
                f"Nothing has been synced into {shop.warehouse} yet, so there is nothing to build from. "
                "Run `make sync` first."
            )
        nothing_read = bool(results) and not any(result.complete for result in results)
        blocked = False
        observed_at, _ = _log_state(work.connection)
        findings: tuple[str, ...] = ()
        if plan.models and not nothing_read:
            yield Step("models")
            for node in build(work.connection, project, plan.models, as_of=observed_at):
                if node.status in ("error", "failed"):
                    _blame(work, node)
                    blocked = True
                    problems.append(f"{node.schema}.{node.name}: {node.message}")
                if node.name == _TRUST and node.status == "success":
                    findings = _findings(work.connection)
                if plan.with_pages and node.status == "success" and node.schema in SHOWN:
                    yield _page(work.connection, project, node)
                yield node
        if plan.publish and not blocked and not nothing_read:
            left = _left_behind(work.connection, project, observed_at)
            blocked = bool(left)
            problems += left
        if plan.publish and not blocked and not nothing_read:
            work.publish()
        elif not nothing_read or shop.warehouse.exists:
            # Also where no list could be read: that it failed stands in the log.
            work.keep()
        if blocked:
            what = "read" if plan.lists else "built"
            problems.append(
                f"{shop.warehouse} was left as it was, because a model or a blocking check failed. What was {what} "
                "is kept and will be published by the next run that passes."
            )
        elif nothing_read:
            problems.append(
                f"No list could be read, so nothing was published. {shop.warehouse} is as it was."
            )
    yield Finished(
        warehouse=shop.warehouse,
        published=plan.publish and not blocked and not nothing_read,
        is_demo=shop.is_demo,
        observed_at=observed_at,
        size_bytes=shop.warehouse.size_bytes,
        problems=tuple(problems),
        findings=findings,
    )


def _blame(work: Build, node: NodeResult) -> None:
    """Raise WarehouseError where no model or test failed, but the disk or the file did."""
    # What else a message says may quote rows.
    said = (
        [node.message] if node.status == "error" else [t.message for t in node.tests if t.status == "error"]
    )
    for text in said:
        if trouble := work.storage_failure(text or ""):
            raise trouble


def _findings(connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    rows = connection.execute(f"select finding from reports.{_TRUST} where status = 'attention'").fetchall()
    return tuple(finding for (finding,) in rows)


def _sync_demo(work: Build, settings: Settings, options: SyncOptions) -> Iterator[Step | ListResult]:
    """Sync the sandbox store: thirteen weekly syncs at first, of which the last one's results are told."""
    yield Step("Starting the sandbox store: RIVO_API_KEY is not set, so this is a demo with simulated data.")
    with demo_store() as store:
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
    draw = PICTURES.get(node.relation)
    try:
        picture = draw(connection) if draw else None
    except Exception as error:
        # Whoever changed the report may have renamed its columns, and names can be what no font can draw.
        picture = f"The picture could not be drawn ({type(error).__name__})."
    return Page(node.relation, sample(connection, project.node(node.name)), picture or "")


def _left_behind(
    connection: duckdb.DuckDBPyConnection, project: Project, observed_at: datetime | None
) -> list[str]:
    """Why what is there may not be shown: tables that failed when they were last built, or are of older rows."""
    builds = last_results(connection).builds
    tables = [node.relation for node in project.nodes.values()]
    failed = [name for name in tables if name in builds and builds[name]["status"] != "success"]
    old = [name for name in tables if name not in builds or builds[name]["data_as_of"] != observed_at]
    end = "Readers are not to see them beside what is new: build all models."
    problems = []
    if failed:
        problems.append(
            f"{_some(failed)} failed or had to be skipped in an earlier run, and were not built in this one. {end}"
        )
    elif old:
        problems.append(
            f"{_some(old)} were not built since lists were last read, nor in this run. {end} "
            "In Dagster: the job models_only."
        )
    return problems


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:3])}{' and others' if len(names) > 3 else ''}"


def _log_state(connection: duckdb.DuckDBPyConnection) -> tuple[datetime | None, int]:
    """The last observation time, and the number of rows of the log."""
    row = connection.execute(
        f"select max(observed_at) filter (where complete), count(*) from {RAW}.sync_log"
    ).fetchone()
    return row or (None, 0)
