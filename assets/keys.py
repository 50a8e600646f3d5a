"""The keys of the assets, by the names of tables in SQL."""

from __future__ import annotations

import dagster as dg

from pipelines.warehouse import RAW

PUBLISHED = dg.AssetKey(["published", "warehouse"])


def raw_key(table: str) -> dg.AssetKey:
    """Key of a table of `rivo_raw`."""
    return dg.AssetKey([RAW, table])


def relation_key(relation: str) -> dg.AssetKey:
    """Key of a table by its name in SQL: 'marts.dim_member'."""
    return dg.AssetKey(relation.split("."))
