"""`rivo query`: one SELECT on the published file, its rows written as they come, in any of a few formats."""

from __future__ import annotations

import csv
import io
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO

import duckdb
import pyarrow as pa

from pipelines.errors import RivoError

_BATCH_ROWS = 20_000
_EXPLAIN = re.compile(r"\s*explain\s+(analyze\s+)?(\([^)]*\)\s*)?", re.IGNORECASE)
_ONLY_READS = (
    "rivo query only reads: one SELECT, WITH, FROM, PIVOT, SHOW, DESCRIBE, SUMMARIZE or EXPLAIN at a time."
)
_REFUSED = {"enable_logging", "enable_profiling", "query", "json_execute_serialized_sql"}
"""A log or a profile is what a SELECT could write; the others run SQL that stands in a text."""
_NO_PARQUET = ("INTERVAL", "BIT", "UNION", "TIME WITH TIME ZONE", "VARIANT")


def select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation:
    """The rows of one statement that only reads, not fetched yet.

    DuckDB's read-only mode does not suffice: it lets COPY write over the very file that is open.

    Raises:
        RivoError: the text is no single statement that reads.
        duckdb.Error: DuckDB cannot run it.
    """
    statements = connection.extract_statements(sql)
    # PIVOT stands for two statements, of which the first one, a temporary type, has no text.
    statements = [s for s in statements if not (s.type.name == "CREATE" and not s.query)]
    if len(statements) != 1:
        count = f"these are {len(statements)}" if statements else "there is none"
        raise RivoError(f"{_ONLY_READS} In what was given {count}.")
    kind = statements[0].type.name
    explained = _EXPLAIN.match(sql)
    if kind == "EXPLAIN" and explained:
        # EXPLAIN ANALYZE runs what it explains.
        inner = connection.extract_statements(sql[explained.end() :])
        kind = inner[0].type.name if len(inner) == 1 else kind
    if kind != "SELECT":
        raise RivoError(f"{_ONLY_READS} The warehouse is read-only: {kind} is not possible.")
    if refused := _REFUSED & _called(sql):
        raise RivoError(f"{_ONLY_READS} The function {min(refused)} is not possible.")
    relation: duckdb.DuckDBPyRelation = connection.sql(sql)
    return relation


def _called(sql: str) -> set[str]:
    """The names in front of an opening parenthesis, as DuckDB splits the text: without comments and strings."""
    starts = [start for start, _ in duckdb.tokenize(sql)]
    # A token reaches to the next one; behind it there may be blanks and comments.
    texts = [sql.encode()[a:b].decode(errors="replace") for a, b in pairwise([*starts, None])]
    return {
        match[1].lower()
        for text, following in pairwise(texts)
        if following.startswith("(") and (match := re.match(r'"?(\w+)', text))
    }


@contextmanager
def spill_folder() -> Iterator[str]:
    """A folder for what does not fit into memory; two readers must not share one."""
    with tempfile.TemporaryDirectory(prefix="rivo-query-", ignore_cleanup_errors=True) as folder:
        yield folder


def write(relation: duckdb.DuckDBPyRelation, form: str, sink: IO[bytes]) -> int:
    """Write all rows as csv, json, markdown or parquet, batch by batch; returns how many there were.

    Memory does not grow with the rows. Text is UTF-8 whatever the terminal's encoding.
    """
    return _WRITERS[form](relation, sink)


@contextmanager
def output(path: Path | None) -> Iterator[IO[bytes]]:
    """Standard output, or a file that is there only once it is whole.

    Raises:
        RivoError: the file cannot be written.
    """
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    # A device or pipe cannot be replaced by a file.
    part = (
        path if path.exists() and not path.is_file() else path.with_name(f".{path.name}.{os.getpid()}.part")
    )
    try:
        with part.open("wb") as sink:
            yield sink
        if part != path:
            part.replace(path)
    except OSError as error:
        raise RivoError(
            f"{path} cannot be written ({error.strerror}). Choose another file with --output."
        ) from None
    finally:
        if part != path:
            part.unlink(missing_ok=True)


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
        # Closing it would close standard output too.
        text.detach()
    return rows


def _json(relation: duckdb.DuckDBPyRelation, sink: IO[bytes]) -> int:
    # DuckDB has no JSON of NaN and infinity; its own null is what pandas and browsers read.
    fields = ", ".join(
        f"{_name(name)} := {_finite(index, kind)}" for index, (name, kind) in enumerate(_columns(relation), 1)
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
            f"#{index}{'::varchar' if kind.startswith(_NO_PARQUET) else ''} as {_name(name)}"
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
    """Every value as DuckDB writes it."""
    return relation.project(
        ", ".join(
            f"#{index}::varchar as {_name(name)}" for index, (name, _) in enumerate(_columns(relation), 1)
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
            # So Arrow hands on what DuckDB says of a row half-way.
            raise duckdb.Error(str(error)) from None
        yield batch


def _columns(relation: duckdb.DuckDBPyRelation) -> Iterator[tuple[str, str]]:
    return zip(_unique(relation.columns), map(str, relation.types), strict=True)


def _unique(names: list[str]) -> list[str]:
    """The names with _1, _2 behind those that came before: JSON and Parquet can hold each once."""
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


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _is_number(kind: str) -> bool:
    return kind in ("DOUBLE", "FLOAT") or kind.startswith("DECIMAL") or kind.endswith(("INT", "INTEGER"))
