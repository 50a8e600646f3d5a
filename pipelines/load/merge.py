"""Runs a dlt resource into the working copy: one pipeline a table, all into the dataset `rivo_raw`."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import duckdb

from pipelines.errors import RivoError
from pipelines.warehouse import RAW, Build

if TYPE_CHECKING:
    from dlt.extract import DltResource

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run_pipeline(build: Build, resource: DltResource) -> None:
    """Extract, normalize and load a resource into the table of its name.

    Raises:
        RivoError, OSError, duckdb.Error: the cause of a failure, without dlt's wrapping.
    """
    # Imported here, since on a quiet night nothing is merged, and dlt is a tenth of what a sync imports.
    import dlt

    from pipelines.load.destination import WorkingCopy

    pipeline = dlt.pipeline(
        pipeline_name=f"rivo_{resource.name}",
        destination=WorkingCopy(build.connection),
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
    """Set dlt's defaults for a sync: no telemetry, no state to restore, no trace, no warnings about Arrow types.

    The warehouse is the state, so what dlt would look for in it at each run is not used. dlt writes the trace of a run
    to the pipeline's folder, which a sync deletes. Every column's type is declared, so its warnings that JSON arrives
    as text say nothing.
    """
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    os.environ.setdefault("RESTORE_FROM_DESTINATION", "false")
    os.environ.setdefault("ENABLE_RUNTIME_TRACE", "false")
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")
