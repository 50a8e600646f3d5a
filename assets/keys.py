"""Asset keys, which follow the names of tables in SQL."""

from __future__ import annotations

from functools import cache

import dagster as dg

from pipelines.warehouse import RAW

PUBLISHED_GROUP = "published"
"""Group of the published warehouse file and of its copies in targets."""
PUBLISHED = dg.AssetKey(["published", "warehouse"])
"""Key of the published warehouse file."""


def target_key(name: str) -> dg.AssetKey:
    """Return the key of the copy of the warehouse in a target of RIVO_PUBLISH."""
    return dg.AssetKey(["targets", name])


def raw_key(table: str) -> dg.AssetKey:
    """Return the key of a table in `rivo_raw`."""
    return dg.AssetKey([RAW, table])


@cache
def relation_key(relation: str) -> dg.AssetKey:
    """Return the key of a table from its name in SQL, such as 'marts.dim_member'."""
    return dg.AssetKey(relation.split("."))
