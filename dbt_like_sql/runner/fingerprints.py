"""Fingerprints of what a model is built from, so that a build can leave alone what cannot have changed.

A fingerprint has the SQL of a model and the content of the columns that it reads, by column lineage. So a model that
reads only the time zone of a table is not built again because another column of that table changed. The content of a
view is the content of the tables below it. Fingerprints do not depend on the order of the rows.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, reduce
from threading import Lock

import duckdb

from dbt_like_sql.runner.project import Model, Node, Project, Seed
from dbt_like_sql.runner.sql import describe, quoted
from dbt_like_sql.runner.volatile import is_volatile

_FORMAT = "2"
"""Part of every fingerprint. A new value makes the next build build everything."""

_WORDS = re.compile(r"\w+")
_WHOLE_ROWS = re.compile(r"(?<!is )(?<!not )\b(distinct|except|intersect|natural|columns)\b", re.IGNORECASE)
"""Words that make a test depend on columns that it does not name."""

_NAMES = re.compile(r"\b[a-z_]\w*\.[a-z_]\w*\b")
"""Possible names of tables in a test."""

Columns = frozenset[str] | None
"""Columns of a table, in lower case; None for all of them."""


class Fingerprints:
    """The fingerprints of one build. Each table is scanned at most once, for all models that read it.

    Several threads may ask for them; they are computed one after the other.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, project: Project) -> None:
        """Take the connection of the build; nothing is read yet."""
        self._connection = connection
        self._project = project
        self._contents: dict[str, dict[Columns, str]] = {}
        self._described: dict[str, Sequence[tuple[str, str]]] = {}
        self._lock = Lock()

    def of_inputs(self, node: Model | Seed) -> str:
        """Return the fingerprint of everything that decides the content of a table or view.

        Returns:
            an empty text if something else decides it too, such as the clock or a file.

        Raises:
            duckdb.Error: a table that it reads does not exist, or lacks a column.
        """
        if isinstance(node, Model) and is_volatile(node):
            return ""
        with self._lock:
            return self._digest([_definition(self._project, node), *self._read(node, self._used(node))])

    def of_tests(self, node: Model | Seed) -> str:
        """Return the fingerprint of the tests of a node, and of the other tables that these read.

        Raises:
            duckdb.Error: a table that a test reads does not exist.
        """
        texts = [f"{test.name} {test.severity} {test.sql}" for test in self._project.tests_of(node.name)]
        with self._lock:
            for relation in self._tested_with(node):
                texts += self._table(relation, None)
        return self._digest(texts)

    def replaced(self, node: Model | Seed, described: Sequence[tuple[str, str]]) -> None:
        """Forget the content of a table that was built again; `described` are its columns with their types."""
        with self._lock:
            self._contents.pop(node.relation, None)
            self._described[node.relation] = described

    def _tested_with(self, node: Model | Seed) -> list[str]:
        """Return the other tables and views that the tests of a node read."""
        tests = self._project.tests_of(node.name)
        named = {name for test in tests for name in _NAMES.findall(test.sql.replace('"', "").lower())}
        return sorted(named & self._project.tables.keys() - {node.relation})

    def _used(self, node: Model | Seed) -> Columns:
        """Return the columns of a node that something can depend on: all of a table, those that are read of a view."""
        if node.materialized == "table":
            return None
        used: set[str] = set()
        for test in self._project.tests_of(node.name):
            if _WHOLE_ROWS.search(test.sql):
                return None
            used.update(_WORDS.findall(test.sql.lower()))
        for reader in self._project.nodes.values():
            if node.name in reader.depends_on:
                read = _reads(self._project, reader, None)[node.relation]
                if read is None:
                    return None
                used |= read
        return frozenset(used & {column.name for column in node.columns})

    def _digest(self, texts: Iterable[str]) -> str:
        digest = hashlib.md5(f"{_FORMAT} {duckdb.__version__}".encode(), usedforsecurity=False)
        for text in texts:
            digest.update(b"\0" + text.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def _read(self, node: Model | Seed, columns: Columns) -> Iterator[str]:
        for relation, read in _reads(self._project, node, columns).items():
            yield from self._table(relation, read)

    def _table(self, relation: str, columns: Columns) -> Iterator[str]:
        node = self._project.tables.get(relation)
        if isinstance(node, Node) and node.materialized == "view":
            yield _definition(self._project, node)
            yield from self._read(node, columns)
        else:
            yield f"{relation} {self._content(relation, columns)}"

    def _content(self, relation: str, columns: Columns) -> str:
        known = self._contents.setdefault(relation, {})
        if columns not in known:
            wanted = {columns} | self._wanted.get(relation, set())
            known.update(self._scan(relation, [*(wanted - known.keys())]))
        return known[columns]

    def _scan(self, relation: str, wanted: list[Columns]) -> Mapping[Columns, str]:
        existing = sorted(self._described.get(relation) or describe(self._connection, relation))
        sums, types = [], []
        for columns in wanted:
            shown = [column for column in existing if columns is None or column[0].lower() in columns]
            sums.append(_sum_of_rows([quoted(name) for name, _ in shown]))
            types.append(shown)
        # Each column is hashed once, for all sets.
        read = {name for shown in types for name, _ in shown}
        hashes = ", ".join(f"{_hash_of_column(name)} as {quoted(name)}" for name in sorted(read)) or "0"
        [row] = self._connection.execute(
            f"select count(*), {', '.join(sums)} from (select {hashes} from {relation})"
        ).fetchall()
        found = zip(wanted, types, row[1:], strict=True)
        return {columns: f"{shown} {row[0]} {content}" for columns, shown, content in found}

    @cached_property
    def _wanted(self) -> Mapping[str, set[Columns]]:
        """Every set of columns that a model or a test reads, by table."""
        wanted: defaultdict[str, set[Columns]] = defaultdict(set)

        def want(relation: str, columns: Columns) -> None:
            table = self._project.tables.get(relation)
            if isinstance(table, Node) and table.materialized == "view":
                visit(table, columns)
            else:
                wanted[relation].add(columns)

        def visit(node: Model | Seed, columns: Columns) -> None:
            for relation, read in _reads(self._project, node, columns).items():
                want(relation, read)

        for node in self._project.nodes.values():
            visit(node, self._used(node))
            for relation in self._tested_with(node):
                want(relation, None)
        return wanted


def _hash_of_column(name: str) -> str:
    """SQL: the hash of a column's value and its name: without the name, two columns could exchange their values."""
    salt = int(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:15], 16)
    return f"hash(xor(hash({quoted(name)}), {salt}::ubigint))"


def _sum_of_rows(hashes: Sequence[str]) -> str:
    """SQL: the fingerprint of some columns over all rows, from the names of their hashes.

    A sum, because the order of the rows does not count, of the upper 56 bits, since DuckDB adds signed numbers of 64
    bits faster than wider ones. The result has 128 bits and cannot overflow.
    """
    if not hashes:
        return "0"
    return f"sum(({reduce(lambda row, column: f'xor({row}, {column})', hashes)} >> 8)::bigint)"


def _reads(project: Project, node: Model | Seed, columns: Columns) -> Mapping[str, Columns]:
    """Return the columns that a node reads from each table, for some of its own columns or for all."""
    relations = [project.node(name).relation for name in node.depends_on] + list(node.sources)
    if not isinstance(node, Model):
        return {}
    if node.language == "python" or node.is_open:
        return dict.fromkeys(relations)
    read: dict[str, set[str]] = {relation: set() for relation in relations}
    for column in node.columns:
        if columns is None or column.name in columns:
            for origin in column.inputs:
                read[origin.relation].add(origin.column)
    for origin in node.conditions:
        read[origin.relation].add(origin.column)
    return {relation: frozenset(names) for relation, names in read.items()}


def _definition(project: Project, node: Model | Seed) -> str:
    """Return all that the project's files say about the content of a table, and about its comments."""
    comments = [node.description, *(f"{c.name} {c.data_type} {c.description}" for c in node.columns)]
    if isinstance(node, Model):
        return "\n".join([node.relation, node.materialized, node.code, *comments])
    content = (project.root / node.path).read_text(encoding="utf-8-sig")
    return "\n".join([node.relation, content, str(sorted(node.column_types.items())), *comments])
