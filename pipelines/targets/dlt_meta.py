"""The mark and the buckets in a dlt destination: two tables of the dataset `rivo_meta`, or Parquet files in a bucket.

`published` is written when all tables are there. `published_buckets` is also the journal: a row whose `content_hash` is
null is of a range that is being replaced, so that a publication that fails leaves what the next one has to send again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipelines.targets.changes import STATE_COLUMNS
from pipelines.targets.content import Table
from pipelines.targets.dlt_destination import Load, OpenedDestination
from pipelines.targets.marks import COLUMNS, DESCRIPTION, SCHEMA, TABLE, Mark, TargetError

if TYPE_CHECKING:
    import pyarrow as pa

BUCKETS = "published_buckets"
_BUCKETS_DESCRIPTION = (
    "A hash for each range of ids of the published tables, by which changed rows are found."
)
_DESCRIPTIONS = {
    "columns": "Names and types of the table's columns, in JSON.",
    "shop": COLUMNS["shop"][1],
    "table": COLUMNS["table"][1],
    **STATE_COLUMNS,
}


@dataclass(frozen=True)
class FoundMark:
    """The mark of a destination: the tables that it has."""

    marks: tuple[Mark, ...] = ()
    columns: Mapping[str, str] | None = None
    """Names and types of the columns by table, as `columns_of` writes them."""
    exists: bool = False


def columns_of(table: Table) -> str:
    """Return the names and types of a table's columns as a text to compare."""
    return json.dumps([[column.name, column.type] for column in table.columns])


def placeholder() -> pa.Table:
    """Return the journal's rows of a table that is sent whole."""
    import pyarrow as pa

    empty: list[int | None] = [None]
    return pa.table(
        {
            name: pa.array([0] if name in ("first", "width", "rows") else empty, pa.int64())
            for name in STATE_COLUMNS
        }
    )


def dirty(buckets: pa.Table) -> pa.Table:
    """Return buckets as ones that are being replaced."""
    import pyarrow as pa

    for name in ("content_hash", "key_hash"):
        position = buckets.column_names.index(name)
        buckets = buckets.set_column(position, name, pa.nulls(buckets.num_rows, pa.int64()))
    return buckets


def _marks_table(marks: Sequence[Mark], columns: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    time = pa.timestamp("us", tz="UTC")
    types = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "TIMESTAMP WITH TIME ZONE": time}
    values = list(zip(*(mark.values for mark in marks), strict=True)) or [()] * len(COLUMNS)
    table = pa.table(
        {
            name: pa.array(column, types[kind])
            for (name, (kind, _)), column in zip(COLUMNS.items(), values, strict=True)
        }
    )
    return table.append_column("columns", pa.array(columns, pa.string()))


def _marks(table: pa.Table) -> FoundMark:
    rows = table.select([*COLUMNS, "columns"]).to_pylist()
    marks = tuple(Mark(*(row[name] for name in COLUMNS)) for row in rows)
    return FoundMark(marks, {row["table"]: row["columns"] for row in rows}, exists=True)


class MetaTables:
    """The mark and the buckets as tables of a database."""

    def __init__(self, destination: OpenedDestination, shop: str) -> None:
        if "delete-insert" not in destination.strategies:
            raise TargetError(
                f"{destination.target.variable}: {destination.kind} cannot replace rows of a table, so it cannot keep "
                "the mark of a publication. Nothing was published. Choose a database, or dlt:filesystem."
            )
        self._destination = destination
        self._shop = shop

    def read(self) -> FoundMark:
        """Return the marks of all shops."""
        if TABLE not in self._destination.existing(SCHEMA, [TABLE]):
            return FoundMark()
        return _marks(self._query(TABLE, [*COLUMNS, "columns"]))

    def journal(self) -> dict[str, bool]:
        """Return the tables of the shop of which there are buckets, and whether one of them is being replaced."""
        if BUCKETS not in self._destination.existing(SCHEMA, [BUCKETS]):
            return {}
        with self._destination.client(SCHEMA) as client:
            sql = client.sql_client
            table, label, found = (
                sql.make_qualified_table_name(BUCKETS),
                sql.escape_column_name("table"),
                sql.escape_column_name("content_hash"),
            )
            rows = sql.execute_sql(
                f"SELECT {label}, COUNT(*) - COUNT({found}) FROM {table} WHERE {self._is_of_shop(client)} "
                f"GROUP BY {label}"
            )
        return {name: bool(unfinished) for name, unfinished in rows}

    def buckets(self, label: str) -> pa.Table:
        """Return the buckets of a table."""
        found = self._query(BUCKETS, list(STATE_COLUMNS), label)
        return found.cast(placeholder().schema)

    def begin(self, journal: Mapping[str, pa.Table], forgotten: Sequence[str]) -> None:
        """Delete the buckets of some tables, and write journal rows."""
        if forgotten:
            with self._destination.client(SCHEMA) as client:
                sql = client.sql_client
                table, label, shop = (
                    sql.make_qualified_table_name(BUCKETS),
                    sql.escape_column_name("table"),
                    sql.escape_column_name("shop"),
                )
                for name in forgotten:
                    sql.execute_sql(
                        f"DELETE FROM {table} WHERE {shop} = %s AND {label} = %s", self._shop, name
                    )
        if journal:
            self._write_buckets(journal, {"disposition": "merge", "strategy": "delete-insert"}, has_key=True)

    def finish(self, states: Mapping[str, pa.Table]) -> None:
        """Replace the journal rows by the buckets that the tables have now."""
        with self._destination.client(SCHEMA) as client:
            column = client.sql_client.escape_column_name
            scope = f"{self._is_of_shop(client)} AND {column('content_hash')} IS NULL"
        disposition = {"disposition": "merge", "strategy": "delete-insert", "destination_scope": scope}
        self._write_buckets(states, disposition, has_key=False)

    def write(self, marks: Sequence[Mark], columns: Sequence[str]) -> None:
        """Replace the mark of the shop."""
        with self._destination.client(SCHEMA) as client:
            scope = self._is_of_shop(client)
        disposition = {"disposition": "merge", "strategy": "delete-insert", "destination_scope": scope}
        batches = [_marks_table(marks, columns)]
        hints = {name: {"description": text} for name, (_, text) in COLUMNS.items()}
        hints["columns"] = {"description": _DESCRIPTIONS["columns"]}
        self._destination.load(SCHEMA, [Load(TABLE, batches, disposition, (), hints, DESCRIPTION)])

    def _is_of_shop(self, client: Any) -> str:
        # The name of a shop has letters, digits and underscores only.
        return f"{client.sql_client.escape_column_name('shop')} = '{self._shop}'"

    def _query(self, table: str, columns: Iterable[str], label: str | None = None) -> pa.Table:
        import pyarrow as pa

        names = list(columns)
        with self._destination.client(SCHEMA) as client:
            sql = client.sql_client
            text = f"SELECT {', '.join(map(sql.escape_column_name, names))}"
            text += f" FROM {sql.make_qualified_table_name(table)}"
            values: list[str] = []
            if table == BUCKETS:
                text += f" WHERE {self._is_of_shop(client)}"
            if label is not None:
                text += f" AND {sql.escape_column_name('table')} = %s"
                values.append(label)
            with sql.execute_query(text, *values) as cursor:
                rows = cursor.fetchall()
        if not rows:
            return pa.table({name: pa.array([], pa.int64()) for name in names})
        return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))

    def _write_buckets(self, states: Mapping[str, pa.Table], disposition: Any, *, has_key: bool) -> None:
        import pyarrow as pa

        schema = pa.schema(
            [("shop", pa.string()), ("table", pa.string()), *((name, pa.int64()) for name in STATE_COLUMNS)]
        )
        batches = [schema.empty_table()]
        for label, state in states.items():
            constants = [pa.array([value] * state.num_rows, pa.string()) for value in (self._shop, label)]
            batches.append(pa.table([*constants, *state.select(list(STATE_COLUMNS)).columns], schema=schema))
        hints = {name: {"description": _DESCRIPTIONS[name]} for name in schema.names}
        key = ("shop", "table", "first") if has_key else ()
        self._destination.load(
            SCHEMA, [Load(BUCKETS, batches, disposition, key, hints, _BUCKETS_DESCRIPTION)]
        )


class MetaFiles:
    """The mark and the buckets as Parquet files: one per shop, and one per table. Each is replaced at once."""

    def __init__(self, destination: OpenedDestination, shop: str) -> None:
        self._destination = destination
        self._shop = shop

    def read(self) -> FoundMark:
        """Return the mark of the shop. That of another shop is a file of its own, and never written here."""
        found = self._read(f"{TABLE}/{self._shop or 'all'}.parquet")
        return _marks(found) if found is not None else FoundMark()

    def journal(self) -> dict[str, bool]:
        """Return the tables of the shop of which there are buckets, and whether one of them is being replaced."""
        found = {label: self._read(self._file(label)) for label in self._labels()}
        return {
            label: bool(table["content_hash"].null_count)
            for label, table in found.items()
            if table is not None
        }

    def _labels(self) -> set[str]:
        with self._destination.client(SCHEMA) as client:
            folder = self._path(client, BUCKETS)
            if not client.fs_client.isdir(folder):
                return set()
            names = [name.rpartition("/")[2] for name in client.fs_client.ls(folder, detail=False)]
        begin = f"{self._shop or 'all'}."
        return {name[len(begin) : -len(".parquet")] for name in names if name.startswith(begin)}

    def buckets(self, label: str) -> pa.Table | None:
        """Return the buckets of a table."""
        return self._read(self._file(label))

    def begin(self, journal: Mapping[str, pa.Table], forgotten: Sequence[str]) -> None:
        """Delete the buckets of some tables, and write journal rows into those of others."""
        import pyarrow as pa

        for label in forgotten:
            self._delete(self._file(label))
        for label, rows in journal.items():
            known = self._read(self._file(label))
            if known is not None:
                changed = set(rows["first"].to_pylist())
                kept = pa.array([value not in changed for value in known["first"].to_pylist()], pa.bool_())
                rows = pa.concat_tables([known.filter(kept), rows.cast(known.schema)])
            self._write(self._file(label), rows)

    def finish(self, states: Mapping[str, pa.Table]) -> None:
        """Replace the journal rows by the buckets that the tables have now."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for label in self._labels():
            known = self._read(self._file(label))
            parts = [known.filter(pc.is_valid(known["content_hash"]))] if known is not None else []
            if label in states:
                parts.append(states[label])
            whole = pa.concat_tables(parts) if parts else None
            if whole is not None and whole.num_rows:
                self._write(self._file(label), whole)
            else:
                self._delete(self._file(label))
        for label in states.keys() - self._labels():
            self._write(self._file(label), states[label])

    def write(self, marks: Sequence[Mark], columns: Sequence[str]) -> None:
        """Replace the mark of the shop."""
        self._write(f"{TABLE}/{self._shop or 'all'}.parquet", _marks_table(marks, columns))

    def maintained_at(self) -> datetime | None:
        """Return the time of the last maintenance of the shop's tables; None if there was none."""
        found = self._read(self._maintenance)
        return found["done_at"][0].as_py() if found is not None else None

    def write_maintained(self, at: datetime) -> None:
        """Note the time of a maintenance."""
        import pyarrow as pa

        self._write(self._maintenance, pa.table({"done_at": pa.array([at], pa.timestamp("us", tz="UTC"))}))

    @property
    def _maintenance(self) -> str:
        return f"maintenance/{self._shop or 'all'}.parquet"

    def _file(self, label: str) -> str:
        return f"{BUCKETS}/{self._shop or 'all'}.{label}.parquet"

    def _path(self, client: Any, name: str) -> str:
        return str(client.pathlib.join(client.dataset_path, name))

    def _read(self, name: str) -> pa.Table | None:
        import pyarrow.parquet as pq

        with self._destination.client(SCHEMA) as client:
            try:
                content = client.fs_client.cat_file(self._path(client, name))
            except FileNotFoundError:
                return None
        return pq.read_table(io.BytesIO(content))

    def _write(self, name: str, table: pa.Table) -> None:
        import pyarrow.parquet as pq

        sink = io.BytesIO()
        pq.write_table(table, sink)
        with self._destination.client(SCHEMA) as client:
            path = self._path(client, name)
            client.fs_client.makedirs(client.pathlib.dirname(path), exist_ok=True)
            if client.config.is_local_filesystem:
                # In a bucket a file is replaced at once; in a folder it is by a rename.
                client.fs_client.pipe_file(f"{path}.new", sink.getvalue())
                client.fs_client.mv(f"{path}.new", path)
            else:
                client.fs_client.pipe_file(path, sink.getvalue())

    def _delete(self, name: str) -> None:
        with self._destination.client(SCHEMA) as client:
            path = self._path(client, name)
            if client.fs_client.exists(path):
                client.fs_client.rm_file(path)
