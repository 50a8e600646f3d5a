"""Completion of SQL at the prompt of `rivo query`: schemas, tables, columns, keywords and functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import duckdb
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from cli.terminal.table_list import rank
from pipelines.sql import quoted

COMMANDS = {
    ".tables": "list the tables; `.tables marts` those of one schema",
    ".help": "show this help",
    ".quit": "leave",
}
"""Commands of the prompt itself, with what they do."""

_WORD = re.compile(r'(?:(?P<of>\w+|"[^"]+")\.)?(?P<start>"?\w*)$')
_COLUMNS = """
select schema_name, table_name, column_name
from duckdb_columns()
where not internal and database_name = current_database()
order by all
"""
_KEYWORDS = "select upper(keyword_name) from duckdb_keywords() order by all"
_FUNCTIONS = (
    r"select distinct function_name from duckdb_functions() where regexp_matches(function_name, '^[a-z]\w+$')"
)
_RESERVED = (
    "select keyword_name from duckdb_keywords() where keyword_category in ('reserved', 'type_function')"
)
_NAMED = re.compile(
    r'\b(?:from|join)\s+(?:"?\w+"?\.)?"?(?P<table>\w+)"?(?:\s+(?:as\s+)?"?(?P<alias>\w+)"?)?', re.IGNORECASE
)
"""A table that a statement reads, with its alias, or with the keyword after it."""


class SqlCompleter(Completer):
    """Suggests names of the warehouse: the columns of the tables that the statement reads first."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._tables: dict[str, list[str]] = {}
        self._columns: dict[str, list[str]] = {}
        for schema, table, column in connection.execute(_COLUMNS).fetchall():
            if table not in self._columns:
                self._tables.setdefault(schema, []).append(table)
            self._columns.setdefault(table, []).append(column)
        self._schemas = sorted(self._tables, key=rank)
        self._keywords = [name for [name] in connection.execute(_KEYWORDS).fetchall()]
        self._functions = sorted(name for [name] in connection.execute(_FUNCTIONS).fetchall())
        self._reserved = {name for [name] in connection.execute(_RESERVED).fetchall()}

    def get_completions(self, document: Document, _complete_event: CompleteEvent) -> Iterator[Completion]:
        """Suggest completions of the word before the cursor; called by prompt_toolkit."""
        line = document.text_before_cursor
        if line.lstrip().startswith("."):
            yield from self._commands(line.lstrip())
            return
        word = _WORD.search(line)
        if word is None or not (word["start"] or word["of"]):
            return
        start = word["start"].lstrip('"').lower()
        offered = self._after_dot(word["of"], document.text) if word["of"] else self._anywhere(document.text)
        seen = set()
        for name, kind in offered:
            if name.lower().startswith(start) and name not in seen and name.lower() != start:
                seen.add(name)
                yield Completion(
                    self._written(name, kind), -len(word["start"]), display=name, display_meta=kind
                )

    def _commands(self, line: str) -> Iterator[Completion]:
        name, blank, schema = line.partition(" ")
        if not blank:
            for command, help_ in COMMANDS.items():
                if command.startswith(name):
                    yield Completion(command, -len(name), display_meta=help_.replace("`", ""))
        elif name == ".tables":
            yield from (Completion(each, -len(schema)) for each in self._schemas if each.startswith(schema))

    def _after_dot(self, of: str, sql: str) -> Iterable[tuple[str, str]]:
        name = of.strip('"').lower()
        if name in self._tables:
            return [(table, "table") for table in self._tables[name]]
        table = self._read_by(sql).get(name, name)
        return [(column, table) for column in self._columns.get(table, [])]

    def _anywhere(self, sql: str) -> Iterator[tuple[str, str]]:
        for table in dict.fromkeys(self._read_by(sql).values()):
            yield from ((column, table) for column in self._columns.get(table, []))
        for schema in self._schemas:
            yield schema, "schema"
        for schema in self._schemas:
            yield from ((table, schema) for table in self._tables[schema])
        yield from ((name, "keyword") for name in self._keywords)
        yield from ((name, "function") for name in self._functions)
        # A statement often begins with its columns, before it names a table.
        for table, columns in self._columns.items():
            yield from ((column, table) for column in columns)

    def _read_by(self, sql: str) -> dict[str, str]:
        """Return the tables that a statement reads, by their names and aliases in it."""
        found = {}
        for match in _NAMED.finditer(sql):
            table, alias = match["table"].lower(), (match["alias"] or "").lower()
            if table in self._columns:
                found[table] = table
                if alias and alias.upper() not in self._keywords:
                    found[alias] = table
        return found

    def _written(self, name: str, kind: str) -> str:
        if kind in ("keyword", "function"):
            return name
        is_plain = re.fullmatch(r"[a-z_]\w*", name) and name not in self._reserved
        return name if is_plain else quoted(name)
