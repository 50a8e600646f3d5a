"""Machines that share a state: folders with a warehouse each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb

from pipelines.warehouse import Warehouse
from pipelines.warehouse.state import State
from tests.targets.s3 import BUCKET, S3

URL = f"s3://{BUCKET}/state"


@lru_cache
def _state(url: str, shop: str, base: Path) -> State:
    # A client of S3 takes a tenth of a second to make.
    return State(url, shop, base)


@dataclass
class Machine:
    """A machine with a warehouse of one table, to which each run adds a number."""

    path: Path
    url: str = URL
    shop: str = ""

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.path, _state(self.url, self.shop, self.path.parent))

    def run(self, *, publishes: bool = True, erases: bool = False, during: Any = None) -> None:
        """Add the next number to the table, then publish or keep the result."""
        with self.warehouse.build() as work:
            work.connection.execute("create table if not exists numbers (n integer)")
            work.connection.execute("insert into numbers select coalesce(max(n), 0) + 1 from numbers")
            if during:
                during()
            work.is_rewritten = erases
            if publishes:
                work.publish()
            else:
                work.keep()

    @property
    def numbers(self) -> list[int]:
        return numbers_of(self.path)

    @property
    def pending(self) -> Path:
        return self.path.with_name("rivo.pending.duckdb")


def machine(folder: Path, name: str, **options: Any) -> Machine:
    (folder / name).mkdir(exist_ok=True)
    return Machine(folder / name / "rivo.duckdb", **options)


def numbers_of(path: Path) -> list[int]:
    """Return the numbers of a warehouse; none if there is no file."""
    if not path.exists():
        return []
    with duckdb.connect(str(path), read_only=True) as connection:
        return [n for (n,) in connection.execute("select n from numbers order by n").fetchall()]


def pointer(s3: S3, prefix: str = "state") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(s3.content(f"{prefix}/current.json"))
    return found


def check_objects(s3: S3, prefix: str = "state") -> None:
    """Check with boto3 alone that the pointer refers to objects of the size that it names."""
    found = pointer(s3, prefix)
    keys = set(s3.list_keys(prefix))
    for part in found["parts"].values():
        assert f"{prefix}/{part['key']}" in keys
        assert len(s3.content(f"{prefix}/{part['key']}")) == part["size_bytes"]
    for earlier in found["earlier"]:
        assert {f"{prefix}/{key}" for key in earlier} <= keys
