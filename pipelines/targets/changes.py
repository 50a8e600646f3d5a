"""Finds the rows that have changed since a target got a table, without reading the target and without a copy of it.

The rows of a table are grouped into buckets by a column of whole numbers or dates: each bucket is a range of its
values, and the target keeps a hash per bucket. All rows of the buckets whose hash differs are sent, and replace those
that the target has in the same ranges. So a ledger whose newest ids change nightly costs its newest buckets, and rows
that were deleted need no list of old keys.

With a width of 8, the ids 16 to 23 are one bucket. If the row 19 has changed, the rows of the whole bucket are sent
again; if it was deleted, the target deletes 16 to 23 and gets the others. When a table has grown, the width doubles:
the kept hashes of 16 to 23 and of 24 to 31 are added to one, so nothing is sent for it.

`_last_seen_at` of the raw tables moves in every row that a sync reads, so it is not compared: in a target it is the
time at which the row was last sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.sql import literal, quoted, scalar
from pipelines.targets.content import Column, Content, Table
from pipelines.warehouse import RAW

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

STATE_COLUMNS = {
    "first": "Lowest value of the range; days since 1970-01-01 for a date.",
    "width": "Number of values in the range.",
    "rows": "Number of rows in it.",
    "last": "Highest value that a row has.",
    "content_hash": "Differs if the rows of the range differ. Null while they are being replaced.",
    "key_hash": "Differs if the keys of the rows differ.",
}
"""Columns of a bucket as a target keeps it, all of them BIGINT."""
LARGE_ROWS = 1_000_000
"""Databases and lakes get only the changed rows of tables with more rows than this."""
NOT_COMPARED = {RAW: frozenset({"_last_seen_at"}), "staging": frozenset({"last_seen_at"})}
"""Columns by schema that do not make a row a changed one."""
_SCHEMA = "changes"
_WHOLE_NUMBERS = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "DATE"}
)
_MOST_BUCKETS = 1 << 20
_FEWEST_BUCKETS = 1024
_ROWS_PER_BUCKET = 8
"""Wanted on average, as long as there are not too many buckets: all rows of a bucket are sent for one that changed."""
_MODULUS = (1 << 63) - 25


@dataclass(frozen=True)
class Changes:
    """The rows of a table that a target has to get. SQL in it is for `Content.connection` and its cursors."""

    table: Table
    column: Column
    """The column whose ranges are the buckets. It has no nulls."""
    width: int
    rows: int
    """Number of rows to send."""
    deleted: int
    """Number of changed buckets that may have lost a key, with those that have no row any more."""
    is_whole: bool
    """Whether the target gets the whole table, since it knows no bucket of it."""
    is_regrouped: bool
    """Whether the ranges are wider than those that the target knows: all its buckets are to be replaced."""

    @property
    def is_empty(self) -> bool:
        """Whether no row has changed, and none is gone."""
        return not self.is_whole and not self.rows and not self.deleted

    @property
    def buckets(self) -> str:
        """Relation of all buckets: `STATE_COLUMNS`, `is_changed`, `has_deleted`; `rows` is 0 if all rows are gone."""
        return f"memory.{_SCHEMA}.{quoted(self.table.relation)}"

    @property
    def select(self) -> str:
        """SQL: the rows to send, with the table's columns in their order."""
        columns = ", ".join(quoted(column.name) for column in self.table.columns)
        rows = f"select {columns} from {self.table.source}"
        return rows if self.is_whole else f"{rows} where {self.is_in_changed(quoted(self.column.name))}"

    def is_in_changed(self, column: str) -> str:
        """Return SQL: whether a value of the column is in a changed bucket. Works on the target's rows as well."""
        changed = f'select "first" from {self.buckets} where is_changed'
        return f"{_first(column, self.column.type, self.width)} in ({changed})"

    def state(self, *, only_changed: bool = False) -> str:
        """Return SQL: the buckets to keep in the target, with `STATE_COLUMNS`."""
        columns = ", ".join(map(quoted, STATE_COLUMNS))
        return f"select {columns} from {self.buckets} where rows > 0" + (" and is_changed" * only_changed)

    def deleted_ranges(self, content: Content) -> list[tuple[int, int]]:
        """Return the ranges of changed buckets that may have lost a key, both ends included; adjacent ones are joined.

        All rows that the target has in them and that are not sent are to be deleted. Days since 1970-01-01 for a date.
        """
        ranges: list[tuple[int, int]] = []
        for (first,) in content.connection.execute(
            f'select "first" from {self.buckets} where has_deleted order by 1'
        ).fetchall():
            if ranges and ranges[-1][1] == first - 1:
                ranges[-1] = (ranges[-1][0], first + self.width - 1)
            else:
                ranges.append((first, first + self.width - 1))
        return ranges


def bucket_column(table: Table) -> Column | None:
    """Return the column whose ranges can be the buckets of a table: of its key, or else an id; None without one."""
    of_key = [column for column in table.columns if column.name in table.key]
    ids = [column for column in table.columns if column.name == "id" or column.name.endswith("_id")]
    candidates = [*of_key, *ids]
    return next((column for column in candidates if column.type in _WHOLE_NUMBERS), None)


def find_changes(content: Content, table: Table, known: pa.Table | None) -> Changes | None:
    """Compare a table with the buckets that a target knows of it.

    Reads the table once, and its changed buckets a second time.

    Args:
        content: what is to be published.
        table: one of its tables, not a view.
        known: `STATE_COLUMNS` as the target has them; None or empty if it does not have the table, or with other
            columns: it gets all rows then.

    Returns:
        the changes; None if the table has no column that can be grouped by, so that it is to be sent whole.
    """
    column = bucket_column(table)
    if column is None:
        return None
    connection = content.connection
    name = quoted(column.name)
    if column.name not in table.key and scalar(
        connection, f"select count(*) from {table.source} where {name} is null"
    ):
        return None
    connection.execute(f"create schema if not exists memory.{_SCHEMA}")
    is_whole = known is None or not known.num_rows
    old_width = 0 if known is None or is_whole else max(known["width"].to_pylist())
    width = old_width or _narrowest(connection, table, column)
    _group(connection, table, column, width)
    width = _wide_enough(connection, width, _wanted(table.rows))
    _widen(connection, "now", f"{_SCHEMA}.now", width)
    if known is None or is_whole:
        connection.execute(f"create or replace table {_SCHEMA}.known as select * from {_SCHEMA}.now limit 0")
    else:
        connection.register("known_buckets", known)
        _widen(connection, "known", "known_buckets", width)
        connection.unregister("known_buckets")
    _compare(connection, table, column, width)
    buckets = f"{_SCHEMA}.{quoted(table.relation)}"
    [(rows, deleted)] = connection.execute(
        f"select coalesce(sum(rows) filter (is_changed), 0)::bigint, count(*) filter (has_deleted) from {buckets}"
    ).fetchall()
    return Changes(table, column, width, rows, deleted, is_whole, old_width not in (0, width))


def _wanted(rows: int) -> int:
    """Return the number of buckets to have for a number of rows."""
    return min(_MOST_BUCKETS, max(_FEWEST_BUCKETS, rows // _ROWS_PER_BUCKET))


def _number(column: str, kind: str) -> str:
    """SQL: a value as a BIGINT."""
    return f"date_diff('day', date '1970-01-01', {column})" if kind == "DATE" else f"{column}::bigint"


def _first(column: str, kind: str, width: int) -> str:
    """SQL: the lowest value of the range that a value is in."""
    number = _number(column, kind)
    return f"({number} - (({number} % {width}) + {width}) % {width})"


def _narrowest(connection: duckdb.DuckDBPyConnection, table: Table, column: Column) -> int:
    """Return the smallest width, a power of two, with few enough buckets. Ids may be dense or have wide gaps."""
    number, wanted = _number(quoted(column.name), column.type), _wanted(table.rows)
    low, high = connection.execute(f"select min({number}), max({number}) from {table.source}").fetchone() or (
        None,
        None,
    )
    if low is None or table.rows <= wanted or high - low < wanted:
        return 1
    most = ((high - low) // wanted).bit_length()
    powers = list(range(most + 1))
    counts = ", ".join(
        f"approx_count_distinct({_first(quoted(column.name), column.type, 1 << power)})" for power in powers
    )
    found = connection.execute(f"select {counts} from {table.source}").fetchone()
    assert found is not None
    return next((1 << power for power, n in zip(powers, found, strict=True) if n <= wanted), 1 << most)


def _wide_enough(connection: duckdb.DuckDBPyConnection, width: int, wanted: int) -> int:
    """Return the width that the buckets in `now` are to be widened to, now that the table has grown."""
    count = scalar(connection, f"select count(*) from {_SCHEMA}.now")
    if count <= 2 * wanted:
        return width
    while count > wanted:
        width *= 2
        first = _first('"first"', "BIGINT", width)
        count = scalar(connection, f"select count(distinct {first}) from {_SCHEMA}.now")
    return width


def _group(connection: duckdb.DuckDBPyConnection, table: Table, column: Column, width: int) -> None:
    """Write the buckets of a table into `now`."""
    name = quoted(column.name)
    connection.execute(
        f"""
        create or replace table {_SCHEMA}.now as
        select
            {_first(name, column.type, width)} as "first",
            {width}::bigint as width,
            count(*) as rows,
            max({_number(name, column.type)}) as "last",
            {_sum(_row_hash(table))} as content_hash,
            {_sum(_key_hash(table, column))} as key_hash
        from {table.source}
        group by 1
        """
    )


def _row_hash(table: Table) -> str:
    """SQL: a hash of a row. A null counts as a column that is not there, so a new column of nulls changes no row."""
    ignored = NOT_COMPARED.get(table.schema, frozenset())
    parts = [
        f"case when {quoted(c.name)} is null then 0::ubigint else hash({literal(c.name)}, {quoted(c.name)}) end"
        for c in table.columns
        if c.name not in ignored
    ]
    combined = parts[0]
    for part in parts[1:]:
        combined = f"xor({combined}, {part})"
    return f"hash({combined})"


def _key_hash(table: Table, column: Column) -> str:
    return f"hash({', '.join(map(quoted, table.key or (column.name,)))})"


def _sum(number: str) -> str:
    """SQL: a sum of hashes that fits a BIGINT. Sums can be added, so ranges can be joined."""
    return f"(sum({number}::hugeint) % {_MODULUS})::bigint"


def _widen(connection: duckdb.DuckDBPyConnection, name: str, buckets: str, width: int) -> None:
    """Write buckets into a table with wider ranges. A null hash makes that of the wider range null."""
    connection.execute(
        f"""
        create or replace table {_SCHEMA}.{name} as
        select
            {_first('"first"', "BIGINT", width)} as "first",
            {width}::bigint as width,
            sum(rows)::bigint as rows,
            max("last") as "last",
            case when bool_and(content_hash is not null) then {_sum("content_hash")} end as content_hash,
            case when bool_and(content_hash is not null) then {_sum("key_hash")} end as key_hash
        from {buckets}
        group by 1
        """
    )


def _compare(connection: duckdb.DuckDBPyConnection, table: Table, column: Column, width: int) -> None:
    """Write all buckets into the table of the relation's name, with what has changed in each.

    Has a key been deleted? Not if the rows up to the last value that the target knows have the keys that it knows.
    """
    name = quoted(column.name)
    connection.execute(
        f"""
        create or replace table {_SCHEMA}.{quoted(table.relation)} as
        with compared as (
            select
                coalesce(n."first", k."first") as "first",
                {width}::bigint as width,
                coalesce(n.rows, 0) as rows,
                n."last",
                n.content_hash,
                n.key_hash,
                k."last" as known_last,
                k.key_hash as known_key_hash,
                k."first" is not null as is_known,
                k.content_hash is null or n.content_hash is distinct from k.content_hash as is_changed
            from {_SCHEMA}.now n full join {_SCHEMA}.known k using ("first")
        ),
        kept as (
            select c."first", {_sum(_key_hash(table, column))} as key_hash
            from {table.source} s
            join compared c on {_first(f"s.{name}", column.type, width)} = c."first"
            where c.is_changed and c.is_known and c.key_hash is distinct from c.known_key_hash
                and {_number(f"s.{name}", column.type)} <= c.known_last
            group by 1
        )
        select
            c.* exclude (known_last, known_key_hash, is_known),
            c.is_known and c.is_changed and (
                c.known_key_hash is null
                or (c.key_hash is distinct from c.known_key_hash and k.key_hash is distinct from c.known_key_hash)
            ) as has_deleted
        from compared c left join kept k using ("first")
        """
    )
