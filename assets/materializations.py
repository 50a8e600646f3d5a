"""Converts the events of a run into Dagster's results: a materialization with metadata for each table, and checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from assets.checks import results_of_list, results_of_tests
from assets.keys import PUBLISHED, raw_key, relation_key, target_key
from dbt_like_sql.runner import NodeResult, Project
from pipelines.load.sync import ListResult
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.targets.publication import Publication
from pipelines.warehouse.raw_tables import history_name
from pipelines.webhooks.loading import DeliveriesLoaded
from runs.run import Event, Finished, ListsRead, Page

Result = dg.MaterializeResult | dg.AssetObservation | dg.AssetCheckResult
FINGERPRINT = "fingerprint"
"""Metadata of a model: what this version was built from. A run compares it with the warehouse's last version."""
_ROWS = "dagster/row_count"


def results(project: Project, events: Iterable[Event]) -> Iterator[Result]:
    """Yield the materializations and check results of a run, in the order of its events."""
    pages: dict[str, Page] = {}
    for event in events:
        if isinstance(event, Page):
            pages[event.relation] = event
        elif isinstance(event, ListResult):
            yield from _of_list(event)
        elif isinstance(event, ListsRead):
            yield dg.MaterializeResult(
                asset_key=raw_key("sync_log"),
                metadata={_ROWS: event.log_rows, **_time("watermark", event.observed_at)},
            )
        elif isinstance(event, DeliveriesLoaded):
            yield dg.MaterializeResult(
                asset_key=raw_key("webhook_events"),
                metadata={_ROWS: event.rows_total, "rows_new": event.rows_new},
            )
        elif isinstance(event, NodeResult):
            yield from _of_node(project, event, pages.get(event.relation))
        elif isinstance(event, Finished):
            if event.published:
                yield dg.MaterializeResult(asset_key=PUBLISHED, metadata=_of_published(event))
            # After the file, which they depend on.
            for publication in event.publications:
                if not publication.problem:
                    key = target_key(publication.target)
                    yield dg.MaterializeResult(asset_key=key, metadata=_of_target(publication))


def _of_list(result: ListResult) -> Iterator[Result]:
    if result.complete:
        counts = result.counts
        yield dg.MaterializeResult(
            asset_key=raw_key(result.name),
            metadata={
                _ROWS: result.rows_total,
                "rows_read": counts.rows_read,
                "rows_new": counts.rows_new,
                "rows_changed": counts.rows_changed,
                "rows_deleted": counts.rows_deleted,
                "rows_quarantined": counts.rows_quarantined,
                "requests": result.requests,
                "seconds": result.seconds,
                "kind": result.kind,
                **_time("watermark", result.observed_at),
                "watermark_id": result.largest_id,
                "columns_added": len(result.new_columns),
                **({"schema_changes": ", ".join(result.new_columns)} if result.new_columns else {}),
            },
        )
        if ENDPOINTS[result.name].history:
            yield dg.MaterializeResult(
                asset_key=raw_key(history_name(ENDPOINTS[result.name])),
                metadata={_ROWS: result.history_rows, **_time("watermark", result.observed_at)},
            )
    yield from results_of_list(result)


def _of_node(project: Project, result: NodeResult, page: Page | None) -> Iterator[Result]:
    if result.status == "dropped":
        return
    if result.status == "unchanged":
        # Its last materialization still holds.
        sentence = "Nothing that it is built from has changed since its last build."
        yield dg.AssetObservation(relation_key(result.relation), metadata={"unchanged": sentence})
    if result.status == "success":
        node = project.node(result.name)
        # The open-source UI does not show column lineage, so the descriptions name the origins too.
        comments = {column.name: project.described(column) for column in node.columns}
        columns = [
            dg.TableColumn(name, kind, description=comments.get(name.lower()) or None)
            for name, kind in result.columns
        ]
        metadata: dict[str, Any] = {
            **({} if result.rows is None else {_ROWS: result.rows}),
            "seconds": round(result.seconds, 3),
            "tests": len(result.tests),
            FINGERPRINT: result.inputs,
            "dagster/column_schema": dg.TableSchema(columns),
        }
        if page and page.picture:
            metadata["picture"] = dg.MetadataValue.md(page.picture)
        if page and page.sample:
            metadata["sample"] = dg.MetadataValue.md(page.sample)
        yield dg.MaterializeResult(asset_key=relation_key(node.relation), metadata=metadata)
    # Those of an unchanged table too: a run plans all checks, and Dagster shows one without a result as skipped.
    yield from results_of_tests(project, result)


def _of_published(event: Finished) -> dict[str, Any]:
    return {
        "path": dg.MetadataValue.path(str(event.warehouse)),
        **({"report": dg.MetadataValue.path(str(event.report))} if event.report else {}),
        "size_mb": round(event.size_bytes / 1e6, 1),
        **_time("watermark", event.observed_at),
        "findings": len(event.findings),
        "data_trust": dg.MetadataValue.md(
            "\n".join(f"- {finding}" for finding in event.findings) or "All trust checks pass."
        ),
    }


def _of_target(publication: Publication) -> dict[str, Any]:
    return {
        "tables_written": publication.written,
        "tables_unchanged": publication.unchanged,
        "rows_written": publication.rows,
        "seconds": round(publication.seconds, 3),
        **_time("watermark", publication.observed_at),
        **({"notes": " ".join(publication.notes)} if publication.notes else {}),
    }


def _time(name: str, value: Any) -> dict[str, Any]:
    return {name: dg.MetadataValue.timestamp(value)} if value else {}
