"""Several shops: the partitions of the assets, and the shop of a run. With one shop, nothing is partitioned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dagster as dg

from assets.instance.private import PARTITION_TAG
from assets.schedule import SyncSchedule
from dbt_like_sql.runner import Project, ProjectError, load_project
from dbt_like_sql.runner.shop_seeds import shop_seed_files
from pipelines.errors import SettingsError
from pipelines.settings import Settings
from pipelines.shop_settings import is_name
from pipelines.warehouse import Warehouse
from runs.shop import shop_to_read

_MOST_NAMES = 10


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
    settings = Settings.load()
    shop = shop_of(run)
    former = run.tags.get(PARTITION_TAG, "")
    # With one shop left, Dagster still has runs of the others, which can wait in the queue or be executed again.
    if not shop and is_name(former) and former not in settings.shop_names and _has_file(settings, former):
        raise SettingsError(
            f"This run is of the shop {former}, which RIVO_SHOPS no longer names. Nothing was done for another shop."
        )
    return settings.of_shop(shop)


def _has_file(settings: Settings, shop: str) -> bool:
    return Warehouse.of_setting(settings.file_of(shop)).exists


def project_of(project: Project, settings: Settings) -> Project:
    """Return the project with the seeds of a shop; the same one if the shop has no seeds of its own.

    Raises:
        SettingsError: a file of the shop has an error.
    """
    try:
        if not shop_seed_files(project.root).get(settings.shop):
            return project
        return load_project(project.root, settings.shop)
    except ProjectError as error:
        raise SettingsError(str(error)) from None


def schedule_of(settings: Settings, name: str) -> SyncSchedule:
    """Return the schedule of a shop's syncs, by its own settings or those of its demo."""
    own = shop_to_read(settings.of_shop(name)).settings
    return SyncSchedule(" ".join(own.sync_cron.split()), own.timezone)


def some_of(names: Sequence[str]) -> str:
    """Return the first names of shops for a sentence, and how many there are beside them."""
    more = len(names) - _MOST_NAMES
    return f"{', '.join(names[:_MOST_NAMES])}{f' and {more} more' if more > 0 else ''}"
