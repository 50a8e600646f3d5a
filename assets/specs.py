"""The asset specs: Rivo's lists -> raw tables -> seeds and models -> the published file."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import PurePath
from typing import Any

import dagster as dg

from assets.freshness import freshness_policy
from assets.instance.private import suppress_dagster_warnings
from assets.keys import PUBLISHED, PUBLISHED_GROUP, raw_key, relation_key, target_key
from dbt_like_sql.runner import ColumnInfo, Model, Project, Seed
from pipelines.rivo import endpoints
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.types import duckdb_type
from pipelines.settings import Settings
from pipelines.warehouse import RAW, raw_tables
from pipelines.warehouse.raw_tables import history_name

_CODE = "dagster/code_references"
"""Metadata key of the link to the file that defines an asset."""
_KEPT_IN_SYNC = {
    "full": "read completely at every sync",
    "cursor": "read from the smallest id that can still change; completely every RIVO_FULL_SWEEP_DAYS days",
}
"""For each value of `Endpoint.reading`, its description in the UI."""
_KINDS = {"sql": "sql", "python": "pandas"}
"""Dagster's kind of a model, by its language."""


def rivo_specs() -> list[dg.AssetSpec]:
    """Return the specs of Rivo's lists: external assets, which Dagster shows but cannot materialize."""
    return [
        dg.AssetSpec(
            key=dg.AssetKey(["rivo", endpoint.name]),
            group_name="rivo",
            kinds={"api"},
            description=f"Rivo's list of {endpoint.title}. {endpoint.description}",
            owners=_owners(),
            metadata={
                "documentation": dg.MetadataValue.url(endpoint.docs_url),
                "path": endpoint.path,
                "kept_in_sync": _KEPT_IN_SYNC[endpoint.reading],
                _CODE: _file(endpoints.__file__, "endpoints.py"),
            },
        )
        for endpoint in ENDPOINTS.values()
    ]


def raw_specs() -> list[dg.AssetSpec]:
    """Return the specs of the raw tables, their histories, `sync_log` and `webhook_events`."""
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
                    f"History of {endpoint.title}: one row for each version (SCD2), starting with the first sync.",
                    [raw_key(endpoint.name)],
                    {"dlt", "duckdb"},
                )
            )
    log = "One row for each list and sync: rows read, new and changed, and the error if it failed."
    specs.append(_raw_spec("sync_log", log, [raw_key(name) for name in ENDPOINTS], {"duckdb"}))
    deliveries = (
        "Deliveries of webhooks, if `rivo serve webhooks` receives them. Runs load them from the journal."
    )
    # Without webhooks it is never materialized, and must not count as overdue.
    specs.append(
        _raw_spec("webhook_events", deliveries, [], {"duckdb"}).replace_attributes(freshness_policy=None)
    )
    return specs


def _raw_spec(table: str, description: str, deps: Iterable[dg.AssetKey], kinds: set[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=raw_key(table),
        deps=list(deps),
        group_name=RAW,
        kinds=kinds,
        owners=_owners(),
        description=description,
        metadata={
            "dagster/table_name": f"{RAW}.{table}",
            "dagster/column_schema": _raw_schema(table),
            _CODE: _file(raw_tables.__file__, "raw_tables.py")
            if table in ("sync_log", "webhook_events")
            else _file(endpoints.__file__, "endpoints.py"),
        },
        skippable=True,
        freshness_policy=_freshness(),
    )


def _raw_schema(table: str) -> dg.TableSchema:
    _, columns = raw_tables.raw_tables()[table]
    return dg.TableSchema(
        [dg.TableColumn(c.name, duckdb_type(c), description=c.description) for c in columns]
    )


def node_specs(project: Project) -> list[dg.AssetSpec]:
    """Return the specs of the seeds and models."""
    return [_node_spec(project, node) for node in project.nodes.values()]


def _node_spec(project: Project, node: Model | Seed) -> dg.AssetSpec:
    upstream = [project.node(name).relation for name in node.depends_on]
    upstream += [source for source in node.sources if source != f"{RAW}.settings"]
    metadata: dict[str, Any] = {
        "dagster/table_name": node.relation,
        _CODE: _file(project.root / node.path, node.path.name),
    }
    if grain := node.texts("grain"):
        metadata["grain"] = f"one row per {' x '.join(grain)}"
    if questions := node.texts("questions"):
        metadata["questions"] = dg.MetadataValue.md("\n".join(f"- {question}" for question in questions))
    if words := node.texts("also_called"):
        metadata["also_called"] = ", ".join(words)
    if examples := node.texts("example"):
        metadata["example"] = dg.MetadataValue.md("\n".join(f"```sql\n{sql}\n```" for sql in examples))
    lineage = column_lineage(node.columns)
    if lineage.deps_by_column:
        metadata["dagster/column_lineage"] = lineage
    return dg.AssetSpec(
        key=relation_key(node.relation),
        deps=[relation_key(relation) for relation in upstream],
        group_name=node.schema,
        kinds={_KINDS[node.language] if isinstance(node, Model) else "csv", "duckdb"},
        owners=node.texts("owners") or _owners(),
        description=node.description or None,
        tags=dict.fromkeys(node.tags, ""),
        metadata=metadata,
        skippable=True,
        # No freshness policy: a table is not built again while nothing that it is built from changes. The lists and the
        # published file show whether syncs run.
    )


def code_reference(path: PurePath, label: str) -> dict[str, Any]:
    """Return the metadata of an asset that links to the file that defines it."""
    return {_CODE: _file(path, label)}


@suppress_dagster_warnings
def _file(path: str | PurePath, label: str) -> dg.CodeReferencesMetadataValue:
    return dg.CodeReferencesMetadataValue(
        code_references=[dg.LocalFileCodeReference(file_path=str(path), label=label)]
    )


def _owners() -> list[str]:
    return [owner for owner in map(str.strip, _settings().owners.split(",")) if owner]


def _freshness() -> dg.FreshnessPolicy:
    return freshness_policy(_settings().sync_cron, _settings().timezone)


@cache
def _settings() -> Settings:
    """Return the settings, read once: the code location must be reloaded to see changes."""
    return Settings.load()


def column_lineage(columns: Iterable[ColumnInfo]) -> dg.TableColumnLineage:
    """Return the column lineage in Dagster's type: for each column, the columns it is computed from directly."""
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


def target_specs(settings: Settings) -> list[dg.AssetSpec]:
    """Return the spec of each target that follows the syncs of some shop."""
    shops = [settings.of_shop(name) for name in settings.shop_names or ("",)]
    targets = {target.name: target for shop in shops for target in shop.to_publish}
    return [
        dg.AssetSpec(
            key=target_key(target.name),
            deps=[PUBLISHED],
            group_name=PUBLISHED_GROUP,
            kinds={
                target.url.removeprefix("dlt:").partition("?")[0] if target.kind == "dlt" else target.kind
            },
            description=f"The copy of the warehouse in {target.variable}. Each run that publishes the file publishes "
            "to it, too.",
            owners=_owners(),
            skippable=True,
        )
        for target in targets.values()
    ]


def published_spec(project: Project) -> dg.AssetSpec:
    """Return the spec of the published file, which depends on all models that no other model reads."""
    ends = [model for model in project.models if not project.downstream(model.name)]
    return dg.AssetSpec(
        key=PUBLISHED,
        deps=[relation_key(model.relation) for model in ends],
        group_name=PUBLISHED_GROUP,
        kinds={"duckdb"},
        description=(
            "The DuckDB file that readers open (RIVO_WAREHOUSE). It is replaced atomically after a sync whose blocking "
            "checks passed. Readers may keep it open during a sync."
        ),
        owners=_owners(),
        skippable=True,
        freshness_policy=_freshness(),
    )
