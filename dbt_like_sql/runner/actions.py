"""Actions: SELECTs whose rows are calls to carry out, `actions/<name>.sql`, with their properties.

The runner reads an action like a model (dependencies, columns, lineage) but never builds or carries out one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from dbt_like_sql.runner.data_tests import check_keys, mapping
from dbt_like_sql.runner.errors import ProjectError, did_you_mean
from dbt_like_sql.runner.project import Action
from dbt_like_sql.runner.properties import Entry

ACTIONS = "actions"
"""Folder of the actions, and the schema of their names."""
ACTION_KINDS = (
    *(
        "add_points",
        "redeem_reward",
        "refund_redemption",
        "create_referral",
        "update_customer",
        "set_vip_tier",
    ),
)
"""Values of the property `action`."""
TRIGGERS = ("points_earned", "points_redeemed", "vip_tier_changed")
"""Values of the property `trigger`: events after which Dagster can apply an action."""
SCOPES = ("per_run", "per_day")
"""Scopes of the property `limits`."""
LIMITS = ("max_rows", "max_points", "max_value")
"""Limits of a scope."""


def check_action(file: str, entry: Entry) -> dict[str, Any]:
    """Return the properties of an action.

    Raises:
        ProjectError: one is missing or invalid.
    """
    where = entry.where or file
    if not entry.where:
        raise ProjectError(
            f"{file}: no property file describes it. Add it under `actions:` in actions/_actions.yml."
        )
    config = entry.config
    kind, key = config.get("action"), config.get("key")
    if kind not in ACTION_KINDS:
        hint = did_you_mean(str(kind or ""), ACTION_KINDS)
        raise ProjectError(
            f"{where}: `action` is {kind!r}. It must be one of {', '.join(ACTION_KINDS)}.{hint}"
        )
    if not isinstance(key, list) or not key:
        raise ProjectError(
            f"{where}: `key` must list the columns that make a row unique, such as [customer_id]."
        )
    switches = {}
    for switch in ("enabled", "send_email", "allow_negative"):
        switches[switch] = config.get(switch, False)
        if not isinstance(switches[switch], bool):
            raise ProjectError(f"{where}: `{switch}` must be true or false, not {switches[switch]!r}.")
    trigger = config.get("trigger")
    if trigger is not None and trigger not in TRIGGERS:
        hint = did_you_mean(str(trigger), TRIGGERS)
        raise ProjectError(
            f"{where}: `trigger` is {trigger!r}. It must be one of {', '.join(TRIGGERS)}.{hint}"
        )
    columns = tuple(str(column).lower() for column in key)
    return {"action": kind, "trigger": trigger, "key": columns, "limits": _limits(config, where), **switches}


def check_key(action: Action, columns: Sequence[str], where: str) -> None:
    """Check that the key consists of columns of the SELECT.

    Raises:
        ProjectError: it does not.
    """
    for column in action.key:
        if column not in columns:
            hint = did_you_mean(column, columns)
            raise ProjectError(f"{where}: `key` names {column}, but {action.path} has no such column.{hint}")


def _limits(config: Mapping[str, Any], where: str) -> dict[str, dict[str, Decimal]]:
    limits = mapping(config.get("limits"), f"{where}, limits")
    check_keys(limits, set(SCOPES), f"{where}, limits")
    checked: dict[str, dict[str, Decimal]] = {}
    for scope, values in limits.items():
        values = mapping(values, f"{where}, limits, {scope}")
        check_keys(values, set(LIMITS), f"{where}, limits, {scope}")
        for name, value in values.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not math.isfinite(value) or value < 0:
                raise ProjectError(
                    f"{where}, limits, {scope}: {name} must be a number of 0 or more, not {value!r}."
                )
        checked[scope] = {name: Decimal(str(value)) for name, value in values.items()}
    return checked
