"""The warehouse: where it is, how it is opened, built, published and backed up. Nothing outside knows it is a file."""

from pipelines.warehouse.build import Build
from pipelines.warehouse.raw_tables import RAW
from pipelines.warehouse.warehouse import Warehouse

__all__ = ["RAW", "Build", "Warehouse"]
