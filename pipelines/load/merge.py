"""Runs a dlt resource into the working copy: one pipeline a table, all into the dataset `rivo_raw`."""

from __future__ import annotations

import errno
import os

import dlt
import duckdb
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.normalizers.naming import NamingConvention
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration
from dlt.extract import DltResource

from pipelines.errors import RivoError
from pipelines.warehouse import RAW, Build

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _WorkingCopy(dlt.destinations.duckdb):
    """dlt's DuckDB destination, which looks its capabilities up once.

    dlt asks for them twenty times a run, and each time searches environment variables and files for settings: a
    quarter of a short list's time.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__(connection, destination_name="duckdb")
        self._capabilities: dict[str, DestinationCapabilitiesContext] = {}

    def capabilities(
        self, config: DuckDbClientConfiguration | None = None, naming: NamingConvention | None = None
    ) -> DestinationCapabilitiesContext:
        """Return the same capabilities as dlt's own destination."""
        name = naming.name() if naming else ""
        if name not in self._capabilities:
            self._capabilities[name] = super().capabilities(config, naming)
        return self._capabilities[name]


def run_pipeline(build: Build, resource: DltResource) -> None:
    """Extract, normalize and load a resource into the table of its name.

    Raises:
        RivoError, OSError, duckdb.Error: the cause of a failure, without dlt's wrapping.
    """
    pipeline = dlt.pipeline(
        pipeline_name=f"rivo_{resource.name}",
        destination=_WorkingCopy(build.connection),
        dataset_name=RAW,
        pipelines_dir=str(build.scratch / "dlt"),
    )
    try:
        pipeline.run(resource)
    except Exception as error:
        raise _plain_cause(error) from None


def _plain_cause(error: BaseException) -> BaseException:
    """Return the original error that dlt wrapped, or the error itself."""
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    telling = [cause for cause in chain if isinstance(cause, RivoError | OSError | duckdb.Error)]
    # On a full disk dlt fails a second time, over the file that it could not write.
    full = [cause for cause in telling if isinstance(cause, OSError) and cause.errno in _NO_ROOM]
    return next(iter(full or telling), error)


def drop_dlt_staging(build: Build) -> None:
    """Drop dlt's staging schema, so that the published file holds no second copy of the rows loaded last."""
    build.connection.execute(f"drop schema if exists {RAW}_staging cascade")


def configure_dlt() -> None:
    """Set dlt's defaults for a sync: no telemetry, no state to restore, no warnings about Arrow types.

    The warehouse is the state, so what dlt would look for in it at each run is not used. Every column's type is
    declared, so its warnings that JSON arrives as text say nothing.
    """
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    os.environ.setdefault("RESTORE_FROM_DESTINATION", "false")
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")
