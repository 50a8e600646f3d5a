"""Tables and columns as the lineage sees them: what a column comes from, and what a query gives back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Origin:
    """One column of one table, as in ('staging.stg_rivo__customers', 'customer_id')."""

    relation: str
    column: str

    def __str__(self) -> str:
        return f"{self.relation}.{self.column}"


@dataclass(frozen=True, order=True)
class Reference:
    """A table that a query reads, lower case, and the line where it does."""

    name: str
    line: int


Origins = frozenset[Origin]
NONE: Origins = frozenset()


@dataclass(frozen=True)
class Relation:
    """The columns of a table or query, in order, each with what it comes from.

    `is_open`: there may be columns beyond those. They come from the column of the same
    name in `open_tables`, or from anything in `rest`.
    """

    columns: Mapping[str, Origins]
    is_open: bool = False
    open_tables: frozenset[str] = frozenset()
    rest: Origins = NONE
    conditions: Origins = NONE
    """Of a whole query: the columns that decide which rows there are (where, joins, groups, order)."""

    def origins(self, column: str) -> Origins:
        """Return what a column comes from, whether it is listed or not."""
        if column in self.columns:
            return self.columns[column]
        return self.rest.union(Origin(table, column) for table in self.open_tables)

    def all_origins(self) -> Origins:
        """Return what all the columns together come from."""
        return self.rest.union(*self.columns.values())


def table(name: str, columns: Iterable[str], *, is_open: bool) -> Relation:
    """Describe a table by its columns, for `output_columns`."""
    open_tables = frozenset([name]) if is_open else frozenset()
    return Relation({c: frozenset([Origin(name, c)]) for c in columns}, is_open, open_tables)
