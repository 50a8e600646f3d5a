"""The warehouse: opens, builds, publishes and backs it up. No other package treats it as a file."""

from pipelines.warehouse.all_shops import AllShops
from pipelines.warehouse.build import Build
from pipelines.warehouse.raw_tables import RAW
from pipelines.warehouse.warehouse import Warehouse

__all__ = ["RAW", "AllShops", "Build", "Warehouse"]
