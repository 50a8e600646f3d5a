"""Actions in Dagster: an asset for each, which plans by default and applies in the job `apply_actions`."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import Any

import dagster as dg
from pydantic import Field

from assets.alerts import alert_on_failure
from assets.keys import relation_key
from assets.ops import POOL
from assets.sensors import event_key
from assets.shops import by_shop, settings_of, shop_of
from assets.specs import code_reference
from dbt_like_sql.runner import Action, Project
from pipelines.actions.kinds import call_of, parameters_of
from pipelines.actions.plan import ActionPlan
from pipelines.errors import RivoError
from pipelines.rivo.columns import ADDRESS
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.types import duckdb_type
from pipelines.settings import Settings
from pipelines.warehouse import action_tables
from pipelines.warehouse.action_tables import ACTIONS
from runs.action_rows import Definition, from_project
from runs.actions import Applied, Watcher, apply, applying, desk
from runs.retrieve import NOUNS, retrieve

GROUP = "actions"
OP = "actions"
_MAX_PROBLEMS = 20
_SENSOR_SECONDS = 5


class ActionsConfig(dg.Config):
    """The options of a run that plans or applies actions."""

    apply: bool = Field(
        default=False, description="Send the actions to Rivo. Without it, a run only plans them."
    )
    rows: list[dict[str, Any]] = Field(
        default=[],
        description="Rows to send in place of those of the SELECT, for a sensor that knows them. Select one action: "
        "its kind, key and limits apply. Values that identify a person are refused, because Dagster stores this.",
    )
    retry_refused: bool = Field(default=False, description="Send again what Rivo refused before.")


class RetrieveConfig(dg.Config):
    """The row to ask Rivo for."""

    list_name: str = Field(description=f"One of {', '.join(NOUNS)}.")
    id: int = Field(description="Shopify's id of a customer, or the id of a VIP tier.")


def action_key(name: str) -> dg.AssetKey:
    """Return the key of an action's asset, such as `actions/welcome_new_tier`."""
    return dg.AssetKey([GROUP, name])


def outbox_specs() -> list[dg.AssetSpec]:
    """Return the specs of the tables of `rivo_actions`: external assets, which every sync and build copies."""
    return [
        dg.AssetSpec(
            relation_key(f"{ACTIONS}.{table}"),
            group_name=ACTIONS,
            kinds={"duckdb"},
            description=f"{description} A copy of the outbox as of the last sync or build.",
            metadata={
                "dagster/table_name": f"{ACTIONS}.{table}",
                "dagster/column_schema": dg.TableSchema(
                    [dg.TableColumn(c.name, duckdb_type(c), description=c.description) for c in columns]
                ),
                **code_reference(PurePath(action_tables.__file__), "action_tables.py"),
            },
        )
        for table, (description, columns) in action_tables.action_tables().items()
    ]


def action_assets(
    project: Project, partitions: dg.PartitionsDefinition[str] | None = None
) -> dg.AssetsDefinition:
    """Return the definition of all actions."""

    @dg.multi_asset(
        name=OP,
        specs=by_shop([_spec(project, action) for action in project.actions.values()], partitions),
        partitions_def=partitions,
        can_subset=True,
        pool=None if partitions else POOL,
        hooks={alert_on_failure},
    )
    def actions(context: dg.AssetExecutionContext, config: ActionsConfig) -> Iterator[Any]:
        chosen = [name for name in project.actions if action_key(name) in context.selected_asset_keys]
        if config.rows and len(chosen) != 1:
            raise dg.Failure("rows are for one action. Select its asset alone.", allow_retries=False)
        settings = settings_of(context.run)
        problems: list[str] = []
        for name in chosen:
            try:
                definition = _definition(project, name, config, settings)
                events = (
                    _applied(context, settings, definition, config, problems)
                    if config.apply
                    else _planned(settings, definition, shop_of(context.run))
                )
                yield from events
            except RivoError as error:
                problems.append(str(error) if name in str(error) else f"{name}: {error}")
        if problems:
            raise dg.Failure(description="\n".join(problems), allow_retries=False)

    return actions


def action_sensors(
    project: Project, partitions: dg.PartitionsDefinition[str] | None = None
) -> list[dg.SensorDefinition]:
    """Return a sensor for each action with a trigger: it runs `apply_actions` for that action after each event."""
    make = partial(_sensor_by_shop, partitions=partitions) if partitions else _sensor
    return [make(action) for action in project.actions.values() if action.trigger]


def _sensor_options(action: Action) -> dict[str, Any]:
    return {
        "name": f"apply_{action.name}",
        "job": apply_actions,
        "minimum_interval_seconds": _SENSOR_SECONDS,
        "default_status": dg.DefaultSensorStatus.STOPPED,
        "description": f"Applies the action {action.name}, within its limits, when the sensor {action.trigger} has "
        "found new events. Turn both sensors on, and set `enabled: true` for the action.",
    }


def _sensor(action: Action) -> dg.SensorDefinition:
    @dg.asset_sensor(asset_key=event_key(str(action.trigger)), **_sensor_options(action))
    def apply_after_event(_context: dg.SensorEvaluationContext, event: dg.EventLogEntry) -> dg.RunRequest:
        return dg.RunRequest(run_key=str(event.timestamp), asset_selection=[action_key(action.name)])

    return apply_after_event


def _sensor_by_shop(action: Action, partitions: dg.PartitionsDefinition[str]) -> dg.SensorDefinition:
    """Return a sensor that sees the last event of each shop; Dagster's asset sensors see the last of all shops."""

    @dg.sensor(**_sensor_options(action))
    def apply_after_event(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        known = json.loads(context.cursor or "{}")
        # The cursor from the time before RIVO_SHOPS was set is one position.
        known = known if isinstance(known, dict) else dict.fromkeys(partitions.get_partition_keys(), known)
        latest = context.instance.get_latest_storage_id_by_partition(
            event_key(str(action.trigger)),
            dg.DagsterEventType.ASSET_MATERIALIZATION,
            set(partitions.get_partition_keys()),
        )
        new = {shop: position for shop, position in latest.items() if position > known.get(shop, 0)}
        if not new:
            return dg.SkipReason("No shop has new events.")
        requests = [
            dg.RunRequest(
                run_key=f"{shop} {position}", asset_selection=[action_key(action.name)], partition_key=shop
            )
            for shop, position in sorted(new.items())
        ]
        return dg.SensorResult(requests, cursor=json.dumps({**known, **new}))

    return apply_after_event


def _spec(project: Project, action: Action) -> dg.AssetSpec:
    reads = [*(project.node(name).relation for name in action.depends_on), *action.sources]
    limits = [
        f"{scope} {name} {most}" for scope, given in action.limits.items() for name, most in given.items()
    ]
    return dg.AssetSpec(
        action_key(action.name),
        deps=[relation_key(relation) for relation in reads if relation != "rivo_raw.settings"],
        group_name=GROUP,
        kinds={"sql", "api"},
        description=f"{action.description} Materializing it only plans, unless the run's config says `apply: true`, as "
        "in the job apply_actions.",
        metadata={
            "action": action.action,
            "key": ", ".join(action.key),
            "limits": ", ".join(limits) or "none",
            "enabled": action.enabled,
            **code_reference(project.root / action.path, action.path.name),
        },
        skippable=True,
    )


def _definition(project: Project, name: str, config: ActionsConfig, settings: Settings) -> Definition:
    definition = from_project(project, name)
    if not config.rows:
        return definition
    known = parameters_of(definition.kind, call_of(definition.kind, settings))
    for row in config.rows:
        for column, value in row.items():
            if ADDRESS.search(str(value)) or (column in known and known[column].is_personal):
                raise RivoError(
                    f"rows must not have {column} with a value that identifies a person: Dagster stores the config of "
                    "its runs. Let the SELECT return it."
                )
    rows: list[Mapping[str, Any]] = [*config.rows]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return replace(definition, read=lambda _connection: (columns, rows), where="the config of the run")


def _planned(settings: Settings, definition: Definition, shop: str) -> Iterator[dg.AssetObservation]:
    with desk(settings) as looked:
        plan = looked.plan(definition)
    yield dg.AssetObservation(
        action_key(definition.name),
        description="Planned only.",
        metadata=_totals(plan),
        partition=shop or None,
    )


def _applied(
    context: dg.AssetExecutionContext,
    settings: Settings,
    definition: Definition,
    config: ActionsConfig,
    problems: list[str],
) -> Iterator[dg.MaterializeResult]:
    if definition.disabled:
        context.log.info(definition.disabled)
        if config.rows or len(context.selected_asset_keys) == 1:
            raise RivoError(definition.disabled)
        return
    with applying(settings, context.log.info) as acting:
        applied = apply(acting, definition, Watcher(context.log.info), retry_refused=config.retry_refused)
    assert applied
    for entry in applied.problems[:_MAX_PROBLEMS]:
        why = entry.difference or entry.message or ""
        problems.append(f"{entry.action}, action {entry.action_id}: {entry.state}{f': {why}' if why else ''}")
    if applied.stopped:
        problems.append(f"{definition.name}: {applied.stopped}")
    yield dg.MaterializeResult(
        asset_key=action_key(definition.name), metadata={**_totals(applied.plan), **_outcome(applied)}
    )


def _totals(plan: ActionPlan) -> dict[str, Any]:
    reasons = Counter(
        ADDRESS.sub("[address]", row.reason) for row in plan.rows if row.decision in ("left_out", "held_back")
    )
    return {
        "to_send": plan.count("ready"),
        "points": plan.points,
        "credits": float(plan.credits),
        "value": "unknown" if plan.value is None else float(plan.value),
        "done_before": plan.count("done"),
        "left_out": plan.count("left_out"),
        "held_back": plan.count("held_back"),
        "reasons": dg.MetadataValue.json(dict(reasons.most_common(_MAX_PROBLEMS))),
    }


def _outcome(applied: Applied) -> dict[str, Any]:
    states = Counter(entry.state for entry in applied.entries)
    return {
        **{str(state): count for state, count in states.items()},
        "differences": sum(entry.difference is not None for entry in applied.entries),
        "action_ids": dg.MetadataValue.json([entry.action_id for entry in applied.entries][:200]),
        "is_demo": applied.is_demo,
    }


@dg.op(
    description="Asks Rivo for one customer or VIP tier, and compares it with the warehouse. Changes nothing."
)
def ask(context: dg.OpExecutionContext, config: RetrieveConfig) -> None:
    """Record one row as Rivo returns it now, without the values that identify a person."""
    if config.list_name not in NOUNS:
        raise dg.Failure(
            f"list is {config.list_name!r}. It must be one of {', '.join(NOUNS)}.", allow_retries=False
        )
    try:
        row = retrieve(settings_of(context.run), config.list_name, str(config.id))
    except RivoError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    personal = {column.name for column in ENDPOINTS[config.list_name].columns if column.personal}
    shown = {name: value for name, value in row.now.items() if name not in personal and value is not None}
    context.log_event(
        dg.AssetObservation(
            dg.AssetKey(["rivo", config.list_name]),
            description=f"{NOUNS[config.list_name]} {row.id} as Rivo returns it now",
            partition=shop_of(context.run) or None,
            metadata={
                "row": dg.MetadataValue.json({name: _plain(value) for name, value in shown.items()}),
                "differs_from_the_warehouse_in": ", ".join(row.differences) or "nothing",
            },
        )
    )


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | list | dict) else str(value)


def retrieve_job(partitions: dg.PartitionsDefinition[str] | None = None) -> dg.JobDefinition:
    """Return the job that asks Rivo for one row."""

    @dg.job(
        name="retrieve_row",
        executor_def=dg.in_process_executor,
        partitions_def=partitions,
        description="Asks Rivo for one customer or VIP tier, and compares it with the warehouse. Changes nothing.",
    )
    def retrieve_row() -> None:
        ask()

    return retrieve_row


apply_actions = dg.define_asset_job(
    "apply_actions",
    selection=dg.AssetSelection.groups(GROUP),
    config={"ops": {OP: {"config": {"apply": True}}}},
    executor_def=dg.in_process_executor,
    description="Sends the enabled actions to Rivo, each within its limits; for some of them, select their assets. "
    "What was sent before is not sent again. docs/actions.md.",
)
