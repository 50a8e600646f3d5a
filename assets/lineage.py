"""The asset graph: Rivo's lists -> raw tables -> seeds and models -> the published file. Specs only, nothing runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

import dagster as dg

from dbt_like_sql import Column, Model, Project, Seed, TestResult
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.tables import history_name
from pipelines.warehouse import RAW

PUBLISHED = dg.AssetKey(["published", "warehouse"])
COMPLETE_CHECK = "read_completely"
QUARANTINE_CHECK = "no_rows_quarantined"
UNDECLARED_CHECK = "no_undeclared_attributes"
_INGESTION_CHECKS = {
    COMPLETE_CHECK: "The list was read to its end and landed.",
    QUARANTINE_CHECK: "Every row could be loaded as it came; the others wait in rivo_raw._quarantine.",
    UNDECLARED_CHECK: "Rivo sent no attribute that this release does not know; such a one becomes a new column.",
}
FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))
"""The sync is daily: a day and two hours without one is late, a day and a half is a failure."""


def raw_key(table: str) -> dg.AssetKey:
    """Key of a table of `rivo_raw`."""
    return dg.AssetKey([RAW, table])


def relation_key(relation: str) -> dg.AssetKey:
    """Key of a table by its name in SQL: 'marts.dim_member'."""
    return dg.AssetKey(relation.split("."))


def rivo_specs() -> list[dg.AssetSpec]:
    """Rivo's seven lists: external assets, which Dagster shows but cannot make."""
    return [
        dg.AssetSpec(
            key=dg.AssetKey(["rivo", endpoint.name]),
            group_name="rivo",
            kinds={"api"},
            description=f"Rivo's list of {endpoint.title}. {endpoint.description}",
            metadata={
                "documentation": dg.MetadataValue.url(endpoint.docs_url),
                "path": endpoint.path,
                "kept in sync": _KEPT_IN_SYNC[endpoint.reading],
            },
        )
        for endpoint in ENDPOINTS.values()
    ]


_KEPT_IN_SYNC = {
    "full": "read whole at every sync",
    "cursor": "read from the smallest id that can still change, and whole now and then",
}


def raw_specs() -> list[dg.AssetSpec]:
    """The raw tables, their histories, and the log of syncs."""
    specs = []
    for endpoint in ENDPOINTS.values():
        specs.append(
            _raw_spec(
                endpoint.name, endpoint.description, [dg.AssetKey(["rivo", endpoint.name])], {"dlt", "duckdb"}
            )
        )
        if endpoint.history:
            specs.append(
                _raw_spec(
                    history_name(endpoint),
                    f"History of {endpoint.title}: one row a version (SCD2), from the first sync on.",
                    [raw_key(endpoint.name)],
                    {"dlt", "duckdb"},
                )
            )
    log = "One row a list and sync: what was read, what was new, what changed, and why it failed."
    specs.append(_raw_spec("sync_log", log, [raw_key(name) for name in ENDPOINTS], {"duckdb"}))
    return specs


def _raw_spec(table: str, description: str, deps: Iterable[dg.AssetKey], kinds: set[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=raw_key(table),
        deps=list(deps),
        group_name=RAW,
        kinds=kinds,
        description=description,
        skippable=True,
        freshness_policy=FRESHNESS,
    )


def node_specs(project: Project) -> list[dg.AssetSpec]:
    """The seeds and models of the SQL project."""
    return [_node_spec(project, node) for node in project.nodes.values()]


def _node_spec(project: Project, node: Model | Seed) -> dg.AssetSpec:
    upstream = [project.node(name).relation for name in node.depends_on]
    upstream += [source for source in node.sources if source != f"{RAW}.settings"]
    metadata: dict[str, object] = {"file": str(node.path)}
    lineage = column_lineage(node.columns)
    if lineage.deps_by_column:
        metadata["dagster/column_lineage"] = lineage
    return dg.AssetSpec(
        key=relation_key(node.relation),
        deps=[relation_key(relation) for relation in upstream],
        group_name=node.schema,
        kinds={node.language if isinstance(node, Model) else "csv", "duckdb"},
        description=node.description or None,
        tags=dict.fromkeys(node.tags, ""),
        metadata=metadata,
        skippable=True,
        freshness_policy=FRESHNESS if isinstance(node, Model) else None,
    )


def column_lineage(columns: Iterable[Column]) -> dg.TableColumnLineage:
    """Dagster's form of what each column is made of, one step back."""
    return dg.TableColumnLineage(
        {
            column.name: [
                dg.TableColumnDep(asset_key=relation_key(origin.relation), column_name=origin.column)
                for origin in column.inputs
            ]
            for column in columns
            if column.inputs
        }
    )


def published_spec(project: Project) -> dg.AssetSpec:
    """The file people read: everything that nothing else is built from leads into it."""
    ends = [model for model in project.models if not project.downstream(model.name)]
    return dg.AssetSpec(
        key=PUBLISHED,
        deps=[relation_key(model.relation) for model in ends],
        group_name="published",
        kinds={"duckdb"},
        description=(
            "The DuckDB file that people read (RIVO_WAREHOUSE). It is replaced whole, in one step, after a sync "
            "whose blocking checks passed; readers may hold it open all the while."
        ),
        skippable=True,
        freshness_policy=FRESHNESS,
    )


def check_specs(project: Project) -> list[dg.AssetCheckSpec]:
    """Every data test of the models, and the checks of every list read."""
    return [*_ingestion_check_specs(), *_test_specs(project)]


def _ingestion_check_specs() -> Iterator[dg.AssetCheckSpec]:
    for name in ENDPOINTS:
        for check, description in _INGESTION_CHECKS.items():
            yield dg.AssetCheckSpec(check, asset=raw_key(name), description=description)


def _test_specs(project: Project) -> Iterator[dg.AssetCheckSpec]:
    for node in project.nodes.values():
        for test in project.tests_of(node.name):
            yield dg.AssetCheckSpec(
                test.name,
                asset=relation_key(node.relation),
                description=test.description or None,
                blocking=test.severity == "error",
                metadata={"sql": dg.MetadataValue.md(f"```sql\n{test.sql}\n```")},
            )


def check_key(project: Project, test: TestResult) -> dg.AssetKey:
    """The asset that a test belongs to."""
    return relation_key(project.node(test.node).relation)
