"""What a list and a column of it are; the seven lists themselves stand in `pipelines.rivo.endpoints`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

ColumnType = Literal[
    "bigint", "quantity", "id", "text", "scalar", "bool", "timestamp", "decimal", "double", "json"
]
"""What a JSON value must be. `quantity` is a whole number that models add up, below 10^12 either way. `id` also takes
digits in quotes and `scalar` takes text, numbers and booleans: for attributes whose JSON type is documented nowhere."""

Personal = Literal["email", "name", "birthday", "link", "network", "tags", "note", "details"]
"""What a column tells of a person: see `pipelines.privacy.personal` for what becomes of each."""

ADDRESS = re.compile(r"[^\s\"'<>(),;:=/?&#@]+@[^\s\"'<>(),;:=/?&#@]+")
"""An e-mail address inside a text."""

DUCKDB_TYPES: dict[ColumnType, str] = {
    "bigint": "BIGINT",
    "quantity": "BIGINT",
    "id": "BIGINT",
    "text": "VARCHAR",
    "scalar": "VARCHAR",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    # Four places: no currency has more. Never floating point.
    "decimal": "DECIMAL(18,4)",
    "double": "DOUBLE",
    "json": "JSON",
}


@dataclass(frozen=True)
class Column:
    """One column of a raw table.

    `attribute` is the attribute that it reads (default: the column's own name), `aliases` are former names of
    that, used where the present one is absent. `fallback` names a nested object whose id is taken where the
    attribute itself gives null. `volatile` columns are nested snapshots that may differ from one answer
    to the next although the row itself did not change.

    For attributes that this release does not declare: `lenient` columns leave null what does not fit their
    type, rather than setting the row apart; a second column with `misfit_of` that type takes just these values.

    `personal` says what a column tells of a person, and `about` the columns with the ids of those it is about.
    `nested` is the list whose objects a column of type json holds. `is_customer` marks the customers' ids.
    """

    name: str
    type: ColumnType
    description: str
    attribute: str | None = None
    aliases: tuple[str, ...] = ()
    fallback: str | None = None
    required: bool = False
    volatile: bool = False
    lenient: bool = False
    misfit_of: ColumnType | None = None
    personal: Personal | None = None
    about: tuple[str, ...] = ()
    nested: str | None = None
    is_customer: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """The attributes of an object of the API from which this column may take its value."""
        own = self.name if self.attribute is None else self.attribute
        return (own, *self.aliases, *((self.fallback,) if self.fallback else ()))


@dataclass(frozen=True)
class Endpoint:
    """One list: where it is, what its rows hold, and how it is kept in sync.

    `reading` is 'full' (read whole every time) or 'cursor' (from the smallest id that can still change).
    `open_rows` is, for cursor lists, a SQL condition over the raw table that holds for the rows that may have
    changed since they were last read; it may also use the instants `lookback_start` (RIVO_LOOKBACK_DAYS before it)
    and `floor_start` (180 days before it). `history` names the columns tracked as SCD2 in `<name>_history`.
    """

    name: str
    title: str
    path: str
    description: str
    docs_url: str
    reading: Literal["full", "cursor"]
    columns: tuple[Column, ...]
    history: tuple[str, ...] = ()
    open_rows: str = ""


META_COLUMNS: tuple[Column, ...] = (
    Column("_first_seen_at", "timestamp", "Observation time of the first sync that saw this row."),
    Column("_last_seen_at", "timestamp", "Observation time of the last sync that read this row."),
    Column("_deleted_at", "timestamp", "Observation time of the complete read that no longer held this row."),
)
