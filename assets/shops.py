"""Several shops: the partitions of the assets, and the shop of a run. With one shop, nothing is partitioned."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from assets.instance.private import PARTITION_TAG
from pipelines.settings import Settings


def shop_partitions(settings: Settings) -> dg.StaticPartitionsDefinition | None:
    """Return the partitions of all assets, one for each shop of RIVO_SHOPS; None with one shop."""
    names = names_of_several(settings)
    return dg.StaticPartitionsDefinition(list(names)) if names else None


def names_of_several(settings: Settings) -> tuple[str, ...]:
    """Return the names in RIVO_SHOPS if there are two or more; else none."""
    return settings.shop_names if len(settings.shop_names) > 1 else ()


def by_shop(specs: Iterable[dg.AssetSpec], partitions: dg.PartitionsDefinition | None) -> list[dg.AssetSpec]:
    """Return specs with these partitions, and without freshness policies, which Dagster evaluates for all together."""
    if partitions is None:
        return list(specs)
    return [spec.replace_attributes(partitions_def=partitions, freshness_policy=None) for spec in specs]


def shop_of(run: dg.DagsterRun) -> str:
    """Return the shop of a run, which is its partition; empty with one shop."""
    return run.tags.get(PARTITION_TAG, "") if names_of_several(Settings.load()) else ""


def settings_of(run: dg.DagsterRun) -> Settings:
    """Read the settings of the shop of a run.

    Raises:
        SettingsError: a setting is invalid, or RIVO_SHOPS no longer names the shop.
    """
    return Settings.load().of_shop(shop_of(run))
