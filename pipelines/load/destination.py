"""The working copy as a dlt destination. Apart from `merge.py`, since a class needs its base when it is defined."""

from __future__ import annotations

from typing import ClassVar

import dlt
import duckdb
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.normalizers.naming import NamingConvention
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration


class WorkingCopy(dlt.destinations.duckdb):
    """dlt's DuckDB destination, which looks its capabilities up once in a process.

    dlt asks for them twenty times a run, and each time searches environment variables and files for settings: a
    quarter of a short list's time. They are the same for every list.
    """

    _capabilities: ClassVar[dict[str, DestinationCapabilitiesContext]] = {}

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__(connection, destination_name="duckdb")

    def capabilities(
        self, config: DuckDbClientConfiguration | None = None, naming: NamingConvention | None = None
    ) -> DestinationCapabilitiesContext:
        """Return the same capabilities as dlt's own destination."""
        name = naming.name() if naming else ""
        if name not in self._capabilities:
            self._capabilities[name] = super().capabilities(config, naming)
        return self._capabilities[name]
