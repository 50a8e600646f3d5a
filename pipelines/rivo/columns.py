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

API_URL = "https://developer-api.rivo.io/merchant_api/v1"
"""Where Rivo's Merchant REST API is; the paths of the lists are appended to it."""

ADDRESS = re.compile(r"[^\s\"'<>(),;:=/?&#@]+@[^\s\"'<>(),;:=/?&#@]+")
"""An e-mail address inside a text."""


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
    """One list: where it is, what its rows hold, and how it is kept in sync. Checks itself when it is made.

    `reading` is 'full' (read whole every time) or 'cursor' (from the smallest id that can still change).
    `open_rows` is, for cursor lists, a SQL condition over the raw table that holds for the rows that may have
    changed since they were last read; it may also use the instants `lookback_start` (RIVO_LOOKBACK_DAYS before it)
    and `floor_start` (180 days before it). `history` names the columns tracked as SCD2 in `<name>_history`.

    Raises:
        ValueError: the description contradicts itself; the message names the list and the column.
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

    def __post_init__(self) -> None:
        """Check what the reader, the histories and the privacy rules rely on."""
        by_name = {column.name: column for column in self.columns}
        if len(by_name) < len(self.columns):
            raise ValueError(f"{self.name}: two columns have the same name.")
        if not self.columns or self.columns[0].name != "id" or not self.columns[0].required:
            raise ValueError(f"{self.name}: the first column must be a required id.")
        if (self.reading == "cursor") != bool(self.open_rows):
            raise ValueError(f"{self.name}: a list has open_rows if, and only if, it is read by cursor.")
        for name in self.history:
            if name not in by_name:
                raise ValueError(f"{self.name}: history names the column {name}, which does not exist.")
        for column in self.columns:
            nested = by_name.get(column.fallback or "")
            if column.fallback and (nested is None or nested.type != "json"):
                raise ValueError(
                    f"{self.name}.{column.name}: fallback names {column.fallback}, which is no JSON column."
                )
            for name in column.about:
                if name not in by_name or not by_name[name].is_customer:
                    raise ValueError(
                        f"{self.name}.{column.name}: about names {name}, which is no column of customer ids."
                    )
            if column.nested and column.type != "json":
                raise ValueError(f"{self.name}.{column.name}: nested, but its type is not json.")

    def column(self, name: str) -> Column:
        """Return the column of that name.

        Raises:
            KeyError: there is none.
        """
        return {column.name: column for column in self.columns}[name]


def endpoints_by_name(*endpoints: Endpoint) -> dict[str, Endpoint]:
    """Return the table of these lists; `nested` must name one of them.

    Raises:
        ValueError: two have the same name, or a nested object is of a list that is not among them.
    """
    table = {endpoint.name: endpoint for endpoint in endpoints}
    if len(table) < len(endpoints):
        raise ValueError("Two lists have the same name.")
    for endpoint in endpoints:
        for column in endpoint.columns:
            if column.nested and column.nested not in table:
                raise ValueError(
                    f"{endpoint.name}.{column.name}: nested names {column.nested}, which is no list."
                )
    return table


META_COLUMNS: tuple[Column, ...] = (
    Column("_first_seen_at", "timestamp", "Observation time of the first sync that saw this row."),
    Column("_last_seen_at", "timestamp", "Observation time of the last sync that read this row."),
    Column("_deleted_at", "timestamp", "Observation time of the complete read that no longer held this row."),
)
