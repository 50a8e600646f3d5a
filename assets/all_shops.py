"""The file of all shops in Dagster: an asset, and the sensor that writes it again after a shop was published."""

from typing import Any

import dagster as dg

from assets.alerts import alert_on_failure
from assets.instance.private import add_run_tags
from assets.instance.retention import OURS
from assets.keys import PUBLISHED
from pipelines.errors import RivoError
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from runs.all_shops import shops_to_read, write_united

GROUP = "all_shops"
KEY = dg.AssetKey(["published", "all_shops"])
"""Key of the file of all shops. It has no partitions: a run writes it as a whole."""
_SENSOR_SECONDS = 300


def all_shops_assets(partitions: dg.PartitionsDefinition[str] | None) -> list[dg.AssetsDefinition]:
    """Return the asset; none with one shop."""
    return [all_shops_file] if partitions else []


def all_shops_jobs(partitions: dg.PartitionsDefinition[str] | None) -> list[Any]:
    """Return the job that writes it; none with one shop."""
    return [_job] if partitions else []


def all_shops_sensors(partitions: dg.PartitionsDefinition[str] | None) -> list[dg.SensorDefinition]:
    """Return the sensor; none with one shop."""
    return [follow_shops] if partitions else []


@dg.asset(
    key=KEY,
    deps=[PUBLISHED],
    group_name=GROUP,
    kinds={"duckdb"},
    hooks={alert_on_failure},
    description="The marts and reports of all shops in one file, all_shops.duckdb, for BI tools: each table has the "
    "shop as its first column. Materialize it once; then the sensor all_shops_file writes it again after a shop was "
    "published.",
)
def all_shops_file(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Write the file of all shops."""
    add_run_tags(context.instance, context.run_id, OURS)
    settings = Settings.load()
    try:
        written, states = write_united(settings, shops_to_read(settings))
    except RivoError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    ages = {state.shop: state.observed_at.isoformat() if state.observed_at else None for state in states}
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(str(written)),
            "size_mb": round(written.size_bytes / 1e6, 1),
            "dagster/row_count": sum(state.row_count for state in states),
            "observed_at": dg.MetadataValue.json(ages),
        }
    )


_job = dg.define_asset_job(
    "write_all_shops",
    selection=dg.AssetSelection.groups(GROUP),
    executor_def=dg.in_process_executor,
    description="Writes the file of all shops, as `rivo models all-shops` does.",
)


@dg.sensor(
    name="all_shops_file",
    job=_job,
    minimum_interval_seconds=_SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes the file of all shops again when a shop was published since, if there is one.",
)
def follow_shops(_context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Request a run if a shop was published after the file was written."""
    settings = Settings.load()
    written_at = Warehouse.of_setting(settings.united).published_at
    if written_at is None:
        return dg.SkipReason(
            "There is no file of all shops. Materialize published/all_shops to begin with it."
        )
    published = [at for shop in shops_to_read(settings) if (at := shop.warehouse.published_at)]
    newest = max(published, default=written_at)
    if newest <= written_at:
        return dg.SkipReason("No shop was published since.")
    # One run for each publication: if it fails, the next one tries again.
    return dg.RunRequest(run_key=newest.isoformat())
