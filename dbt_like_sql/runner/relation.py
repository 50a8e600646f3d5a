"""Data structures of the lineage: origins of columns, references to tables, columns of a query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Origin:
    """Column of a table, such as ('staging.stg_rivo__customers', 'customer_id')."""

    relation: str
    column: str

    def __str__(self) -> str:
        return f"{self.relation}.{self.column}"


@dataclass(frozen=True, order=True)
class Reference:
    """Reference to a table in a query: its name in lower case, and the line."""

    name: str
    line: int


Origins = frozenset[Origin]
NONE: Origins = frozenset()


@dataclass(frozen=True)
class Relation:
    """Columns of a table or query, in order, each with its origins.

    If `is_open`, there may be more columns than those listed. They come from the column of
    the same name in `open_tables`, or from any column in `rest`.
    """

    columns: Mapping[str, Origins]
    is_open: bool = False
    open_tables: frozenset[str] = frozenset()
    rest: Origins = NONE
    conditions: Origins = NONE
    """Columns that determine the rows of a whole query (filters, joins, groups, order)."""

    def origins(self, column: str) -> Origins:
        """Return the origins of a column, listed or not."""
        if column in self.columns:
            return self.columns[column]
        return self.rest.union(Origin(table, column) for table in self.open_tables)

    def all_origins(self) -> Origins:
        """Return the origins of all columns together."""
        return self.rest.union(*self.columns.values())


def table(name: str, columns: Iterable[str], *, is_open: bool) -> Relation:
    """Build the relation of a table from the names of its columns, for `output_columns`."""
    open_tables = frozenset([name]) if is_open else frozenset()
    return Relation({c: frozenset([Origin(name, c)]) for c in columns}, is_open, open_tables)
