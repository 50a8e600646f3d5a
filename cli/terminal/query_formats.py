"""Runs one reading SQL statement on the warehouse and writes its rows in batches, as CSV, JSON, Markdown or Parquet."""

from __future__ import annotations

import csv
import io
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING

import duckdb

from cli.terminal.table_list import list_tables
from pipelines.errors import RivoError
from pipelines.output_files import replacing
from pipelines.sql import quoted

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 20_000
_EXPLAIN = re.compile(r"\s*explain\s+(analyze\s+)?(\([^)]*\)\s*)?", re.IGNORECASE)
_ONLY_READS = (
    "`rivo query` runs one reading statement: SELECT, WITH, FROM, PIVOT, SHOW, SUMMARIZE, DESCRIBE, EXPLAIN."
)
_REFUSED = {"enable_logging", "enable_profiling", "query", "json_execute_serialized_sql"}
"""Functions that a SELECT must not call: they write a log or profile, or run SQL passed as a string."""
_NO_PARQUET = ("INTERVAL", "BIT", "UNION", "TIME WITH TIME ZONE", "VARIANT")
"""Types that Arrow cannot write to Parquet; they are written as text."""


def select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation:
    """Return the rows of one statement that only reads, not fetched yet. SHOW TABLES lists those of all schemas.

    DuckDB's read-only mode is not enough: it lets COPY overwrite the file that is open.

    Raises:
        RivoError: the text is not exactly one reading statement.
        duckdb.Error: DuckDB cannot run it.
    """
    statements = connection.extract_statements(sql)
    # DuckDB splits PIVOT into two statements; the first one creates a temporary type and has no text.
    statements = [s for s in statements if not (s.type.name == "CREATE" and not s.query)]
    if len(statements) != 1:
        raise RivoError(f"{_ONLY_READS} The text contains {len(statements) or 'no'} statements.")
    kind = statements[0].type.name
    explained = _EXPLAIN.match(sql)
    if kind == "EXPLAIN" and explained:
        # EXPLAIN ANALYZE runs what it explains.
        inner = connection.extract_statements(sql[explained.end() :])
        kind = inner[0].type.name if len(inner) == 1 else kind
    if kind != "SELECT":
        raise RivoError(f"{_ONLY_READS} The warehouse is read-only: {kind} is not allowed.")
    if refused := _REFUSED & _called(sql):
        raise RivoError(f"{_ONLY_READS} The function {min(refused)} is not allowed.")
    relation: duckdb.DuckDBPyRelation = list_tables(connection, sql) or connection.sql(sql)
    return relation


def _called(sql: str) -> set[str]:
    """Return the names before an opening parenthesis, by DuckDB's tokens, so not those in comments and strings."""
    starts = [start for start, _ in duckdb.tokenize(sql)]
    # Each piece reaches to the next token and may end with blanks and comments.
    texts = [sql.encode()[a:b].decode(errors="replace") for a, b in pairwise([*starts, None])]
    return {
        match[1].lower()
        for text, following in pairwise(texts)
        if following.startswith("(") and (match := re.match(r'"?(\w+)', text))
    }


@contextmanager
def spill_folder() -> Iterator[str]:
    """Create a temporary folder for data that does not fit into memory; two readers must not share one."""
    with tempfile.TemporaryDirectory(prefix="rivo-query-", ignore_cleanup_errors=True) as folder:
        yield folder


def write(relation: duckdb.DuckDBPyRelation, form: str, sink: IO[bytes]) -> int:
    """Write all rows as csv, json, markdown or parquet and return the number of rows.

    Rows are written in batches, so memory does not grow with them. Text is UTF-8 in any locale.
    """
    return _WRITERS[form](relation, sink)


@contextmanager
def output(path: Path | None) -> Iterator[IO[bytes]]:
    """Open standard output, or a file that appears only once it is complete.

    Raises:
        RivoError: the file cannot be written.
    """
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with replacing(path) as sink:
        yield sink


def _csv(relation: duckdb.DuckDBPyRelation, sink: IO[bytes]) -> int:
    text = io.TextIOWrapper(sink, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    rows = 0
    try:
        writer.writerow(_unique(relation.columns))
        for batch in _batches(_as_text(relation).to_arrow_reader(_BATCH_ROWS)):
            writer.writerows(_rows(batch))
            rows += batch.num_rows
    finally:
        # Closing the wrapper would also close standard output.
        text.detach()
    return rows


def _json(relation: duckdb.DuckDBPyRelation, sink: IO[bytes]) -> int:
    # JSON has no NaN or infinity; null is what pandas and browsers accept.
    fields = ", ".join(
        f"{quoted(name)} := {_finite(index, kind)}"
        for index, (name, kind) in enumerate(_columns(relation), 1)
    )
    rows = 0
    sink.write(b"[")
    texts = relation.project(f"to_json(struct_pack({fields}))::varchar")
    for batch in _batches(texts.to_arrow_reader(_BATCH_ROWS)):
        for text in batch.column(0).to_pylist():
            sink.write((b",\n " if rows else b"\n ") + text.encode())
            rows += 1
    sink.write(b"\n]\n" if rows else b"]\n")
    return rows


def _finite(index: int, kind: str) -> str:
    return f"if(isfinite(#{index}), #{index}, null)" if kind in ("DOUBLE", "FLOAT") else f"#{index}"


def _markdown(relation: duckdb.DuckDBPyRelation, sink: IO[bytes]) -> int:
    columns = list(_columns(relation))
    lines = [[name for name, _ in columns], ["---:" if _is_number(kind) else "---" for _, kind in columns]]
    for line in lines:
        sink.write(_markdown_line(line))
    rows = 0
    for batch in _batches(_as_text(relation).to_arrow_reader(_BATCH_ROWS)):
        sink.writelines(map(_markdown_line, _rows(batch)))
        rows += batch.num_rows
    return rows


def _markdown_line(values: Iterable[str | None]) -> bytes:
    cells = ("" if v is None else " ".join(v.replace("|", "\\|").split()) for v in values)
    return f"| {' | '.join(cells)} |\n".encode()


def _parquet(relation: duckdb.DuckDBPyRelation, sink: IO[bytes]) -> int:
    from pyarrow import parquet

    readable = relation.project(
        ", ".join(
            f"#{index}{'::varchar' if kind.startswith(_NO_PARQUET) else ''} as {quoted(name)}"
            for index, (name, kind) in enumerate(_columns(relation), 1)
        )
    )
    reader = readable.to_arrow_reader(_BATCH_ROWS)
    rows = 0
    with parquet.ParquetWriter(sink, reader.schema, compression="zstd") as writer:
        for batch in _batches(reader):
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


_WRITERS: dict[str, Callable[[duckdb.DuckDBPyRelation, IO[bytes]], int]] = {
    "csv": _csv,
    "json": _json,
    "markdown": _markdown,
    "parquet": _parquet,
}


def _as_text(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Cast every column to text, as DuckDB prints it."""
    return relation.project(
        ", ".join(
            f"#{index}::varchar as {quoted(name)}" for index, (name, _) in enumerate(_columns(relation), 1)
        )
    )


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[str | None, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except OSError as error:
            # Arrow wraps DuckDB's errors about a later row in an OSError.
            raise duckdb.Error(str(error)) from None
        yield batch


def _columns(relation: duckdb.DuckDBPyRelation) -> Iterator[tuple[str, str]]:
    return zip(_unique(relation.columns), map(str, relation.types), strict=True)


def _unique(names: list[str]) -> list[str]:
    """Append _1, _2 to repeated names: JSON and Parquet allow each name once."""
    taken: set[str] = set()
    found = []
    for name in names:
        unique, number = name, 0
        while unique.lower() in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique.lower())
        found.append(unique)
    return found


def _is_number(kind: str) -> bool:
    return kind in ("DOUBLE", "FLOAT") or kind.startswith("DECIMAL") or kind.endswith(("INT", "INTEGER"))
