"""`current.json` of a target in Parquet files: the tables of the newest publication, and which files hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pipelines.targets.marks import Mark, TargetError

POINTER = "current.json"
FORMAT = 1


@dataclass(frozen=True)
class Part:
    """A part of a table that is written as a whole: a month, or the whole table.

    Attributes:
        name: the month, such as 2026-09; `rows` for the rows without one and for tables that have no months.
        rows: number of rows.
        fingerprint: differs if the rows, the columns or the descriptions differ.
        files: keys of its files, after the folder of `current.json`.
    """

    name: str
    rows: int
    fingerprint: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredTable:
    """A table of the newest publication."""

    schema: str
    name: str
    rows: int
    fingerprint: str
    parts: tuple[Part, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """Keys of all files of the table."""
        return tuple(file for part in self.parts for file in part.files)


@dataclass(frozen=True)
class Retired:
    """Files that a publication referred to and the next one did not, which readers may still be reading."""

    since: datetime
    files: tuple[str, ...]


@dataclass(frozen=True)
class Pointer:
    """The newest publication."""

    publication: str
    url: str
    shop: str
    warehouse_id: str
    observed_at: datetime
    published_at: datetime
    tables: tuple[StoredTable, ...]
    retired: tuple[Retired, ...] = ()

    @property
    def files(self) -> set[str]:
        """Keys of all files of the publication."""
        return {file for table in self.tables for file in table.files}

    @property
    def marks(self) -> list[Mark]:
        """The mark of the publication, as `check_marks` takes it."""
        return [
            Mark(
                f"{table.schema}.{table.name}",
                table.rows,
                table.fingerprint,
                self.observed_at,
                self.shop,
                self.warehouse_id,
                self.published_at,
            )
            for table in self.tables
        ]

    def encoded(self) -> bytes:
        """Return the JSON document. `files` of a table are addresses, for readers; the parts have keys."""
        document: dict[str, Any] = {
            "format": FORMAT,
            **asdict(self),
            "observed_at": self.observed_at.isoformat(),
            "published_at": self.published_at.isoformat(),
            "tables": [
                {**asdict(table), "files": [f"{self.url}/{file}" for file in table.files]}
                for table in self.tables
            ],
            "retired": [{"since": each.since.isoformat(), "files": each.files} for each in self.retired],
        }
        return json.dumps(document, indent=1, ensure_ascii=False).encode()


def decoded(content: bytes, variable: str) -> Pointer:
    """Return a pointer.

    Raises:
        TargetError: it is something else, or of a later release.
    """
    try:
        found = json.loads(content)
        if found.pop("format") != FORMAT:
            raise TargetError(
                f"{variable} was written by a later release of rivo-warehouse. Nothing was published to it. Upgrade."
            )
        return Pointer(
            **{
                **found,
                "observed_at": datetime.fromisoformat(found["observed_at"]),
                "published_at": datetime.fromisoformat(found["published_at"]),
                "tables": tuple(map(_table, found["tables"])),
                "retired": tuple(
                    Retired(datetime.fromisoformat(each["since"]), tuple(each["files"]))
                    for each in found["retired"]
                ),
            }
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise TargetError(
            f"{variable}: {POINTER} there was not written by rivo-warehouse. Nothing was published. Choose an empty "
            "place, or move what is there away."
        ) from None


def _table(found: Mapping[str, Any]) -> StoredTable:
    parts = tuple(Part(**{**part, "files": tuple(part["files"])}) for part in found["parts"])
    return StoredTable(**{**{name: found[name] for name in _COPIED}, "parts": parts})


_COPIED = ("schema", "name", "rows", "fingerprint")
