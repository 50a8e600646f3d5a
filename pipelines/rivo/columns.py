"""Classes that describe a list and its columns. The lists are defined in `pipelines.rivo.endpoints`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

ColumnType = Literal[
    "bigint", "quantity", "id", "text", "scalar", "bool", "timestamp", "decimal", "double", "json"
]
"""Type of a column's values. `quantity` is a whole number that models add up, with an absolute value below 10^12.
`id` also accepts digits in quotes. `scalar` accepts text, numbers and booleans, for attributes whose JSON type is
not documented."""

Personal = Literal["email", "name", "birthday", "link", "network", "tags", "note", "details"]
"""Kind of personal data in a column. `pipelines.privacy.personal` defines how each kind is treated."""

API_URL = "https://developer-api.rivo.io/merchant_api/v1"
"""Base URL of Rivo's Merchant REST API. The path of a list is appended to it."""

ADDRESS = re.compile(r"[^\s\"'<>(),;:=/?&#@]+@[^\s\"'<>(),;:=/?&#@]+")
"""Pattern of an e-mail address within a text."""


@dataclass(frozen=True)
class Column:
    """One column of a raw table.

    Attributes:
        attribute: API attribute that the column reads; by default the one with the column's name.
        aliases: former names of that attribute, read where it is null or absent.
        fallback: nested object whose id is used where the attribute and its aliases are null or absent.
        required: whether a row without a value is quarantined.
        volatile: whether the value is a nested snapshot that can change while the row itself does not.
        lenient: whether a value of another type becomes null instead of quarantining the row; true for the columns
            of undeclared attributes.
        misfit_of: for the second column of an undeclared attribute, the type of the first one. The second column
            holds only the values that do not fit this type.
        personal: kind of personal data in the column.
        about: columns with the ids of the customers to whom the data belongs.
        nested: name of the list whose objects a column of type json holds.
        is_customer: whether the column holds customer ids.
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
        """The API attributes from which the column can take its value, in order of precedence."""
        own = self.name if self.attribute is None else self.attribute
        return (own, *self.aliases, *((self.fallback,) if self.fallback else ()))


ID = Column("id", "id", "Rivo's id of the row, unique within the list.", required=True)
CREATED_AT = Column("created_at", "timestamp", "When Rivo created the row.")
UPDATED_AT = Column("updated_at", "timestamp", "When Rivo last updated the row.")
"""Columns that several lists have in the same form."""


@dataclass(frozen=True)
class Endpoint:
    """One list of the API: its path, its columns, and which of its rows each sync reads.

    Attributes:
        title: name of the list in messages.
        path: path below `API_URL`.
        reading: 'full' to read every row in each sync, or 'cursor' to read from the smallest id that can still change.
        history: columns tracked in `<name>_history`, a slowly changing dimension of type 2 (SCD2).
        open_rows: for cursor lists, a SQL condition on the raw table that is true for rows that can have changed since
            the last read. It can use the timestamps `lookback_start` and `floor_start`, which are RIVO_LOOKBACK_DAYS
            and 180 days before the sync.
        is_replaceable: whether a shop may replace all rows at once, as it does with a few tiers, rewards or rules.

    Raises:
        ValueError: the definition contradicts itself. The message names the list and the column.
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
    is_replaceable: bool = False

    def __post_init__(self) -> None:
        """Check the conditions that reading, histories and privacy rules rely on."""
        by_name = {column.name: column for column in self.columns}
        if len(by_name) < len(self.columns):
            raise ValueError(f"{self.name}: two columns have the same name.")
        if not self.columns or self.columns[0].name != "id" or not self.columns[0].required:
            raise ValueError(f"{self.name}: the first column must be a required id.")
        if (self.reading == "cursor") != bool(self.open_rows):
            raise ValueError(
                f"{self.name}: a list with reading='cursor' needs open_rows; other lists must not have it."
            )
        for name in self.history:
            if name not in by_name:
                raise ValueError(f"{self.name}: history names the column {name}, which does not exist.")
        for column in self.columns:
            nested = by_name.get(column.fallback or "")
            if column.fallback and (nested is None or nested.type != "json"):
                raise ValueError(
                    f"{self.name}.{column.name}: fallback names {column.fallback}, which is not a column of type json."
                )
            for name in column.about:
                if name not in by_name or not by_name[name].is_customer:
                    raise ValueError(
                        f"{self.name}.{column.name}: about names {name}, which is not a column of customer ids."
                    )
            if column.nested and column.type != "json":
                raise ValueError(
                    f"{self.name}.{column.name}: nested is set, but the type of the column is not json."
                )

    def column(self, name: str) -> Column:
        """Return the column with this name.

        Raises:
            KeyError: the list has no such column.
        """
        return {column.name: column for column in self.columns}[name]


def endpoints_by_name(*endpoints: Endpoint) -> dict[str, Endpoint]:
    """Return the lists by name.

    Raises:
        ValueError: two lists have the same name, or `nested` of a column names a list that is not among them.
    """
    table = {endpoint.name: endpoint for endpoint in endpoints}
    if len(table) < len(endpoints):
        raise ValueError("Two lists have the same name.")
    for endpoint in endpoints:
        for column in endpoint.columns:
            if column.nested and column.nested not in table:
                raise ValueError(
                    f"{endpoint.name}.{column.name}: nested names {column.nested}, which is not a list."
                )
    return table


META_COLUMNS: tuple[Column, ...] = (
    Column("_first_seen_at", "timestamp", "Observation time of the first sync that saw this row."),
    Column("_last_seen_at", "timestamp", "Observation time of the last sync that read this row."),
    Column(
        "_deleted_at",
        "timestamp",
        "Observation time of the first complete read without this row; null while Rivo returns it.",
    ),
)
