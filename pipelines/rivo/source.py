"""Rivo as a dlt source: one resource an endpoint, built from the table of endpoints.

It loads into any dlt destination by itself:

    import dlt
    from pipelines.rivo.source import rivo

    pipeline = dlt.pipeline("rivo", destination="duckdb", dataset_name="loyalty")
    pipeline.run(rivo(api_key="..."))

Without `api_key`, dlt looks for it where it looks for secrets: `sources.rivo.api_key` in `.dlt/secrets.toml`, or the
environment variable SOURCES__RIVO__API_KEY. Importing this module or calling `rivo()` asks for nothing: a missing
key is an error when the first row is read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.typing import TSecretStrValue
from dlt.extract import DltResource

from pipelines.errors import ApiError, SettingsError
from pipelines.rivo.arrow import ListTyper, Rejected, in_batches
from pipelines.rivo.client import PATIENCE_SECONDS, RATE_LIMIT, Client
from pipelines.rivo.columns import API_URL, Column, Endpoint
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.paging import read_list
from pipelines.rivo.types import dlt_hints

QUARANTINE = "quarantined_rows"
"""The table of rows that could not be typed: `list`, `id` (may be null), `reason`, `row` (the row as JSON)."""

_QUARANTINE_COLUMNS = (
    Column("list", "text", "The Rivo list."),
    Column("id", "bigint", "Id of the row, where it has one."),
    Column("reason", "text", "Why the row could not be typed."),
    Column("row", "json", "The row as Rivo sent it."),
)
_logger = logging.getLogger(__name__)


@dlt.source(name="rivo", section="rivo", max_table_nesting=0)
def rivo(
    api_key: TSecretStrValue | None = None,
    api_url: str = API_URL,
    rate_limit: float = RATE_LIMIT,
    patience_seconds: float = PATIENCE_SECONDS,
    lists: Sequence[str] | None = None,
) -> Iterable[DltResource]:
    """Return a resource for each of Rivo's lists: read whole, typed, and merged by id.

    Args:
        api_key: the raw key from the Rivo app; by default dlt's secret `sources.rivo.api_key`.
        api_url: the address that the paths of the lists are appended to.
        rate_limit: requests per second, over all lists together.
        patience_seconds: how long one request is retried.
        lists: names of the lists to read; by default all.

    Raises:
        SettingsError: `lists` names a list that does not exist.
    """
    unknown = [name for name in lists or () if name not in ENDPOINTS]
    if unknown:
        raise SettingsError(f"There is no list {', '.join(unknown)}. The lists are {', '.join(ENDPOINTS)}.")

    # The lists share one client, so that they share its rate limit.
    @cache
    def client() -> Client:
        if not api_key:
            raise ApiError(
                "There is no API key for Rivo. Pass rivo(api_key=...), or set sources.rivo.api_key in "
                ".dlt/secrets.toml or SOURCES__RIVO__API_KEY in the environment."
            )
        return Client(api_key, api_url, rate_limit=rate_limit, patience_seconds=patience_seconds)

    for endpoint in ENDPOINTS.values():
        if lists is None or endpoint.name in lists:
            yield list_resource(endpoint, _tables(client, endpoint))


def list_resource(
    endpoint: Endpoint,
    tables: Iterator[Any],
    more_columns: Iterable[Column] = (),
    write_disposition: Any = "merge",
) -> DltResource:
    """Return the dlt resource of a list: its name, primary key `id`, and a hint for every declared column.

    Args:
        endpoint: the list.
        tables: Arrow tables with the list's columns; those of undeclared attributes may be among them.
        more_columns: columns that `tables` have besides those of the list.
        write_disposition: dlt's; 'merge' replaces rows with the same id.
    """
    return dlt.resource(
        tables,
        name=endpoint.name,
        primary_key="id",
        write_disposition=write_disposition,
        columns={column.name: dlt_hints(column) for column in (*endpoint.columns, *more_columns)},
    )


def _tables(client: Callable[[], Client], endpoint: Endpoint) -> Iterator[Any]:
    """Read a list whole and yield its rows as Arrow tables; rows that cannot be typed go to `QUARANTINE`."""
    typer = ListTyper(endpoint.columns)
    for page in in_batches(read_list(client(), endpoint, 0, _logger.warning)):
        typed = typer(page)
        if typed.table.num_rows:
            yield typed.table
        if typed.rejected:
            _logger.warning(
                "%s: %d rows could not be typed; see %s.", endpoint.title, len(typed.rejected), QUARANTINE
            )
            yield _quarantined(endpoint, typed.rejected)


def _quarantined(endpoint: Endpoint, rejected: Sequence[Rejected]) -> Any:
    rows = [{"list": endpoint.name, "id": r.id, "reason": r.reason, "row": r.row} for r in rejected]
    hints = dlt.mark.make_hints(
        table_name=QUARANTINE,
        primary_key=(),
        write_disposition="append",
        columns={column.name: dlt_hints(column) for column in _QUARANTINE_COLUMNS},
    )
    schema = pa.schema(
        [("list", pa.string()), ("id", pa.int64()), ("reason", pa.string()), ("row", pa.string())]
    )
    return dlt.mark.with_hints(pa.Table.from_pylist(rows, schema), hints, create_table_variant=True)
