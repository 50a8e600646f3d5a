"""The op behind all assets: it runs what is selected and tells Dagster what became of it.

One op for all, because one sync is one unit: it works in one copy of the warehouse, a failed list must not
keep the models from being built with what there is, and everything is published together.
"""

from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import dagster as dg
from pydantic import Field

from assets import lineage
from assets.run import Event, Finished, ListsRead, Plan, Step, run
from dbt_like_sql import NodeResult, Project
from pipelines.errors import RivoError
from pipelines.rivo.endpoints import DUCKDB_TYPES, ENDPOINTS
from pipelines.settings import Settings
from pipelines.sync import ListResult, SyncOptions
from pipelines.tables import history_name, raw_tables
from pipelines.warehouse import RAW


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


class SyncConfig(dg.Config):
    """What a run may be told: read every list completely, and accept lists that shrank a lot."""

    full: bool = False
    allow_shrink: list[str] = Field(default=[])


def sync_assets(project: Project) -> dg.AssetsDefinition:
    """All assets that a run can make: raw tables, seeds, models, and the published file."""

    @dg.multi_asset(
        name="sync",
        specs=[
            *lineage.raw_specs(),
            *lineage.node_specs(project),
            lineage.published_spec(project),
        ],
        check_specs=lineage.check_specs(project),
        can_subset=True,
    )
    def sync(context: dg.AssetExecutionContext, config: SyncConfig) -> Iterator[Any]:
        reporter = _watching.get() or Silent()
        selected = context.selected_asset_keys
        checks = context.selected_asset_check_keys

        def notice(sentence: str) -> None:
            reporter.notice(sentence)
            context.log.warning(sentence)

        plan = _plan(selected, checks, config, reporter, notice, project)
        events: list[Event] = []
        try:
            for event in run(plan, Settings.load(), project):
                reporter.event(event)
                _log(context, event)
                events.append(event)
            # Only now: what a run throws away when it breaks off must not show as materialized.
            for event in events:
                for result in _results(project, event):
                    key = result.check_key if isinstance(result, _Check) else result.asset_key
                    if key in selected or key in checks:
                        yield result.result if isinstance(result, _Check) else result
            if isinstance(event, Finished) and event.problems:
                raise dg.Failure(description="\n".join(event.problems), allow_retries=False)
        except RivoError as error:
            reporter.error(str(error))
            raise dg.Failure(description=str(error), allow_retries=False) from None
        except (dg.Failure, GeneratorExit):
            raise
        except Exception as error:
            reporter.error(
                f"This should not have happened: {type(error).__name__}: {error} Nothing was published. The whole "
                "story is in the run's log in the Dagster UI (`make dev`)."
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
    lists = [
        name
        for name, endpoint in ENDPOINTS.items()
        if lineage.raw_key(name) in selected or lineage.raw_key(history_name(endpoint)) in selected
    ]
    options = SyncOptions(
        only=lists,
        full=config.full,
        allow_shrink=config.allow_shrink,
        progress=reporter.progress,
        notice=notice,
    )
    # A check is run by building its table again: the same raw rows give the same table.
    wanted = selected | {check.asset_key for check in checks}
    return Plan(
        lists=options if lists else None,
        models=[n.name for n in project.nodes.values() if lineage.relation_key(n.relation) in wanted],
        publish=lineage.PUBLISHED in selected,
    )


class _Check:
    """A check's result with the key it is known by."""

    def __init__(self, result: dg.AssetCheckResult) -> None:
        assert result.asset_key is not None
        assert result.check_name is not None
        self.result = result
        self.check_key = dg.AssetCheckKey(result.asset_key, result.check_name)


def _results(project: Project, event: Event) -> Iterator[dg.MaterializeResult | _Check]:
    if isinstance(event, ListResult):
        yield from _list_results(event)
    elif isinstance(event, NodeResult):
        yield from _node_results(project, event)
    elif isinstance(event, ListsRead):
        yield dg.MaterializeResult(
            asset_key=lineage.raw_key("sync_log"),
            metadata={
                "dagster/row_count": event.log_rows,
                "observed_at": str(event.observed_at),
                "dagster/column_schema": _raw_schema("sync_log"),
            },
        )
    elif isinstance(event, Finished) and event.published:
        yield dg.MaterializeResult(
            asset_key=lineage.PUBLISHED,
            metadata={
                "path": dg.MetadataValue.path(event.warehouse),
                "size_mb": round(event.size_bytes / 1e6, 1),
                "observed_at": str(event.observed_at),
                "data_trust": dg.MetadataValue.md(
                    "\n".join(f"- {finding}" for finding in event.findings) or "Every trust check is content."
                ),
            },
        )


def _list_results(result: ListResult) -> Iterator[dg.MaterializeResult | _Check]:
    key = lineage.raw_key(result.name)
    counts = result.counts
    if result.complete:
        metadata: dict[str, Any] = {
            "dagster/row_count": result.rows_total,
            "rows_read": counts.rows_read,
            "rows_new": counts.rows_new,
            "rows_changed": counts.rows_changed,
            "rows_deleted": counts.rows_deleted,
            "rows_quarantined": counts.rows_quarantined,
            "requests": result.requests,
            "seconds": result.seconds,
            "kind": result.kind,
            "observed_at": str(result.observed_at),
            "dagster/column_schema": _raw_schema(result.name),
        }
        yield dg.MaterializeResult(asset_key=key, metadata=metadata)
        history = history_name(ENDPOINTS[result.name])
        if ENDPOINTS[result.name].history:
            yield dg.MaterializeResult(
                asset_key=lineage.raw_key(history),
                metadata={
                    "observed_at": str(result.observed_at),
                    "dagster/column_schema": _raw_schema(history),
                },
            )
    yield _check(key, lineage.COMPLETE_CHECK, result.complete, result.error or "Read to its end.")
    if not result.complete:
        return
    yield _check(
        key,
        lineage.QUARANTINE_CHECK,
        not counts.rows_quarantined,
        f"{counts.rows_quarantined} rows could not be loaded as they came. See the reasons with: "
        f"select reason, count(*) from {RAW}._quarantine where list = '{result.name}' group by all",
        dg.AssetCheckSeverity.WARN,
    )
    yield _check(
        key,
        lineage.UNDECLARED_CHECK,
        not result.new_columns,
        f"Rivo sent attributes unknown so far; they are new columns now: {', '.join(result.new_columns)}",
        dg.AssetCheckSeverity.WARN,
    )


def _check(
    key: dg.AssetKey,
    name: str,
    passed: bool,
    message: str,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> _Check:
    return _Check(
        dg.AssetCheckResult(
            passed=passed,
            asset_key=key,
            check_name=name,
            severity=severity,
            description=message if not passed else None,
        )
    )


def _raw_schema(table: str) -> dg.TableSchema:
    _, columns = raw_tables()[table]
    return dg.TableSchema(
        [dg.TableColumn(c.name, DUCKDB_TYPES[c.type], description=c.description) for c in columns]
    )


def _node_results(project: Project, result: NodeResult) -> Iterator[dg.MaterializeResult | _Check]:
    if result.status == "dropped":
        return
    node = project.node(result.name)
    if result.status == "success":
        # The UI has no view of column lineage, so the origins stand in the descriptions too.
        comments = {column.name: column.comment for column in node.columns}
        columns = [
            dg.TableColumn(name, kind, description=comments.get(name.lower()) or None)
            for name, kind in result.columns
        ]
        yield dg.MaterializeResult(
            asset_key=lineage.relation_key(node.relation),
            metadata={
                "dagster/row_count": result.rows or 0,
                "seconds": round(result.seconds, 3),
                "dagster/column_schema": dg.TableSchema(columns),
            },
        )
    for test in result.tests:
        warns = test.severity == "warn"
        yield _Check(
            dg.AssetCheckResult(
                passed=test.status == "pass",
                asset_key=lineage.check_key(project, test),
                check_name=test.name,
                severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
                description=test.message,
                metadata={"failures": test.failures, "sample": dg.MetadataValue.json(_plain(test.sample))}
                if test.failures
                else {},
            )
        )


def _plain(sample: Any) -> list[dict[str, Any]]:
    return [
        {
            name: value if isinstance(value, int | float | str | None) else str(value)
            for name, value in row.items()
        }
        for row in sample
    ]


def _log(context: dg.AssetExecutionContext, event: Event) -> None:
    if isinstance(event, Step):
        context.log.info(event.text)
    elif isinstance(event, ListResult) and event.error:
        context.log.error(event.error)
    elif isinstance(event, NodeResult) and event.status in ("error", "failed"):
        context.log.error(f"{event.schema}.{event.name}: {event.message}")
    elif isinstance(event, NodeResult) and event.status == "skipped":
        context.log.warning(f"{event.schema}.{event.name}: {event.message}")
    elif isinstance(event, NodeResult) and event.status == "dropped":
        context.log.info(f"{event.schema}.{event.name}: {event.message}")
    if isinstance(event, ListResult):
        for warning in event.warnings:
            context.log.warning(warning)
