"""The only place that knows dlt: one pipeline a table, all into the dataset `rivo_raw`."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterable, Iterator
from typing import Any

import dlt
import duckdb
import pyarrow as pa

from pipelines.errors import RivoError
from pipelines.rivo.columns import Column, ColumnType
from pipelines.warehouse import RAW, Build

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DLT_TYPES: dict[ColumnType, dict[str, Any]] = {
    "bigint": {"data_type": "bigint"},
    "quantity": {"data_type": "bigint"},
    "id": {"data_type": "bigint"},
    "text": {"data_type": "text"},
    "scalar": {"data_type": "text"},
    "bool": {"data_type": "bool"},
    "timestamp": {"data_type": "timestamp"},
    "decimal": {"data_type": "decimal", "precision": 18, "scale": 4},
    "double": {"data_type": "double"},
    "json": {"data_type": "json"},
}


def _hints(columns: Iterable[Column]) -> dict[str, Any]:
    return {
        c.name: {
            **_DLT_TYPES[c.type],
            "description": c.description,
            "nullable": not (c.name == "id" and c.required),
        }
        for c in columns
    }


def run_dlt(
    build: Build, table: str, chunks: Iterator[pa.Table], columns: Iterable[Column], disposition: Any
) -> None:
    """One dlt pipeline a table, all into the dataset `rivo_raw`; none at all when there is nothing to load."""
    first = next(chunks, None)
    if first is None:
        return
    resource = dlt.resource(
        itertools.chain([first], chunks),
        name=table,
        write_disposition=disposition,
        primary_key="id",
        columns=_hints(columns),
    )
    pipeline = dlt.pipeline(
        pipeline_name=f"rivo_{table}",
        destination=dlt.destinations.duckdb(build.connection),
        dataset_name=RAW,
        pipelines_dir=str(build.scratch / "dlt"),
    )
    try:
        pipeline.run(resource)
    except Exception as error:
        raise _plain_cause(error) from None


def _plain_cause(error: BaseException) -> BaseException:
    """The sentence inside dlt's wrapping of an error, or the error itself."""
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    telling = [cause for cause in chain if isinstance(cause, RivoError | OSError | duckdb.Error)]
    # On a full disk dlt breaks off once more over the file that it could not write.
    full = [cause for cause in telling if isinstance(cause, OSError) and cause.errno in _NO_ROOM]
    return next(iter(full or telling), error)


def drop_dlt_staging(build: Build) -> None:
    """Remove what dlt merges from: it would be a second copy of the last rows in the published file."""
    build.connection.execute(f"drop schema if exists {RAW}_staging cascade")


def quiet_dlt() -> None:
    """No telemetry; no warnings about Arrow types, since every column's type is declared; no state to restore.

    The warehouse is the state: what dlt would look for in it at each run is not used.
    """
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    os.environ.setdefault("RESTORE_FROM_DESTINATION", "false")
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")
