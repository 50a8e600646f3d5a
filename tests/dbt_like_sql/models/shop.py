"""A small simulated store, synced into a warehouse of its own by the product's own code."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from dbt_like_sql.runner import NodeResult, Project, load_project
from pipelines.load.sync import ListResult, SyncOptions
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from runs.run import Finished, Plan, run
from sandbox import LISTS, Fault, Program, Server, serve

Object = dict[str, Any]
Row = dict[str, Any]

STATES = ("vip_tiers", "customers")
"""The lists that must be seen on the day; the others can be read later without loss."""


@dataclass(frozen=True)
class Observation:
    """What the store answered at the moment of a sync."""

    at: datetime
    lists: dict[str, list[Object]]


@dataclass
class Shop:
    """The store, its warehouse, and what every complete reading of the customers showed."""

    program: Program
    server: Server
    path: Path
    timezone: str = "UTC"
    observations: list[Observation] = field(default_factory=list)
    nodes: list[NodeResult] = field(default_factory=list)
    results: list[ListResult] = field(default_factory=list)
    ending: Finished | None = None

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def sync(
        self, at: datetime, only: Collection[str] = (), models: bool = False, faults: Sequence[str] = ()
    ) -> None:
        """One sync at a moment of the store's clock; `models` also builds everything and publishes."""
        self.server.now = at
        self.server.faults = tuple(Fault.parse(fault) for fault in faults)
        settings = Settings(
            api_key=SecretStr(self.server.key),
            api_url=self.server.url,
            warehouse=str(self.path),
            timezone=self.timezone,
            rate_limit=10_000,
            patience_seconds=0.5,
        )
        plan = Plan(
            SyncOptions(only=only, allow_shrink=LISTS),
            list(project().nodes) if models else [],
            publish=models,
        )
        events = list(run(plan, settings, project()))
        self.results = [event for event in events if isinstance(event, ListResult)]
        self.nodes = [event for event in events if isinstance(event, NodeResult)]
        self.ending = next(event for event in events if isinstance(event, Finished))
        complete = {result.name for result in self.results if result.complete}
        if "customers" in complete:
            self.observations.append(Observation(at, self.program.snapshot(at)))
        if models:
            broken = [(n.name, n.message) for n in self.nodes if n.status != "success"]
            assert not broken, broken
            assert self.ending.published

    def rows(self, query: str) -> list[Row]:
        """The rows of a query against the published warehouse."""
        with Warehouse(self.path).read() as connection:
            cursor = connection.execute(query)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@lru_cache(maxsize=1)
def project() -> Project:
    """The models as they ship."""
    return load_project()


@contextmanager
def open_shop(program: Program, folder: Path, timezone: str = "UTC") -> Iterator[Shop]:
    """A store that is served for the length of a `with` block, and a warehouse not yet begun."""
    with serve(program, rate_limit=0) as server:
        yield Shop(program, server, folder / "shop.duckdb", timezone)
