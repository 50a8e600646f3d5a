"""A target in Parquet files as other programs read it: `current.json`, then the files that it lists."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from pipelines.sql import literal
from pipelines.target_settings import TargetSetting
from pipelines.targets.publication import Publication
from pipelines.targets.publishing import publish
from pipelines.warehouse import Warehouse
from tests.targets.s3 import BUCKET, S3
from tests.targets.warehouses import KEYS, SCHEMAS, publish_day

FOLDER = "parquet"


def publish_files(warehouse: Warehouse, place: Place, shop: str = "", **options: Any) -> Publication:
    """Publish a warehouse to a place, as `rivo publish` does."""
    schemas = options.pop("schemas", SCHEMAS)
    [publication] = publish(warehouse, shop, [place.target], schemas, KEYS, **options)
    return publication


def publish_day_to(folder: Path, place: Place, day: int) -> None:
    """Publish the warehouse of a day; for a process of its own."""
    assert publish_files(publish_day(folder, day), place).problem == ""


@dataclass(frozen=True)
class Place:
    """A place in S3 or in a folder, and what is there."""

    url: str
    copies: Path
    """A folder for copies of files."""
    s3: S3 | None = None

    @property
    def target(self) -> TargetSetting:
        return TargetSetting("files", "parquet", self.url)

    def list_keys(self) -> list[str]:
        """Return the keys of all files."""
        if self.s3:
            return sorted(key.removeprefix(f"{FOLDER}/") for key in self.s3.list_keys(f"{FOLDER}/"))
        folder = self._folder
        return sorted(
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and path.name != ".lock"
        )

    def content(self, key: str) -> bytes:
        return self.s3.content(f"{FOLDER}/{key}") if self.s3 else (self._folder / key).read_bytes()

    def put(self, key: str, content: bytes) -> None:
        if self.s3:
            self.s3.client().put_object(Bucket=BUCKET, Key=f"{FOLDER}/{key}", Body=content)
        else:
            (self._folder / key).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / key).write_bytes(content)

    def current(self, shop: str = "") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.content(f"{shop}/current.json".lstrip("/")))
        return found

    def files(self, table: str, shop: str = "") -> list[str]:
        """Return the keys of the files of a table."""
        schema, _, name = table.partition(".")
        [found] = [t for t in self.current(shop)["tables"] if (t["schema"], t["name"]) == (schema, name)]
        return [file.removeprefix(f"{self.place}/") for file in found["files"]]

    @property
    def place(self) -> str:
        return self.url.removeprefix("file://")

    def rows(self, table: str, sql: str = "from rows", shop: str = "") -> list[tuple[Any, ...]]:
        """Return the rows of a query on the files of a table, which is called `rows`."""
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute(f"create view rows as from read_parquet([{self._local(table, shop)}])")
            return connection.execute(sql).fetchall()

    def rows_of_file(self, key: str, columns: str = "*") -> list[tuple[Any, ...]]:
        """Return the rows of a file in a folder."""
        with duckdb.connect() as connection:
            return connection.execute(
                f"select {columns} from read_parquet({literal(str(self._folder / key))})"
            ).fetchall()

    def metadata(self, table: str) -> dict[str, str]:
        with duckdb.connect() as connection:
            rows = connection.execute(f"select key, value from parquet_kv_metadata([{self._local(table)}])")
            return {key.decode(): value.decode() for key, value in rows.fetchall()}

    def observed_at(self) -> datetime:
        return datetime.fromisoformat(self.current()["observed_at"])

    def _local(self, table: str, shop: str = "") -> str:
        """Return SQL for the names of local copies of a table's files."""
        names = []
        for key in self.files(table, shop):
            path = self._folder / key
            if self.s3:
                path = self.copies / key
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.content(key))
            names.append(literal(str(path)))
        return ", ".join(names)

    @property
    def _folder(self) -> Path:
        return Path(self.place)
