"""A shop whose rows and responses a test changes freely: for what the sandbox store, which has rules, never does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from dbt_like_sql.runner import NodeResult
from pipelines.load.sync import ListResult, SyncOptions, sync_lists
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from runs.run import Finished, Plan, run
from runs.shop import shop_to_sync
from sandbox import Program, ProgramOptions
from tests.harness.compare import Object
from tests.harness.settings import make_settings
from tests.harness.store import project
from tests.harness.stub import Asked, Reply, Stub, answering
from tests.harness.working_copy import working_copy

NUMBERS = ("pagination[since_id]", "pagination[limit]", "pagination[page]", "pagination[per_page]")


@dataclass
class SmallShop:
    """The lists of a sandbox program, served as they are in `lists`."""

    path: Path
    """The published warehouse file."""
    lists: dict[str, list[Object]]
    now: datetime
    raw: Callable[[str, bytes], bytes] = lambda _name, body: body
    """Changes the body of a response of a list."""
    options: dict[str, Any] = field(default_factory=dict)
    """Settings that differ from those of `make_settings`."""
    selection: str = ""
    """The models that syncs build, as dbt's selectors name them; all by default."""
    nodes: list[NodeResult] = field(default_factory=list)
    """How each model of the last sync ended."""
    results: dict[str, ListResult] = field(default_factory=dict)
    """How each list of the last sync ended."""
    stub: Stub | None = None

    @property
    def settings(self) -> Settings:
        assert self.stub
        return make_settings(
            api_key="small-shop-key",
            api_url=f"{self.stub.url}",
            **({"warehouse": str(self.path)} | self.options),
        )

    def wait(self, days: float = 1) -> None:
        """Move the shop's clock."""
        self.now += timedelta(days=days)

    def sync(self, *only: str, models: bool = False, **options: Any) -> Finished:
        """Sync into the warehouse and publish, with models or without; `options` are fields of `SyncOptions`."""
        lists, settings = SyncOptions(only, **options), self.settings
        if not models:
            return self._sync_lists(lists, settings)
        chosen = project(self.selection)
        plan = Plan(lists, list(chosen.nodes), publish=True)
        events = list(run(plan, chosen, shop_to_sync(settings)))
        self.nodes = [event for event in events if isinstance(event, NodeResult)]
        self.results = {event.name: event for event in events if isinstance(event, ListResult)}
        [finished] = [event for event in events if isinstance(event, Finished)]
        return finished

    def _sync_lists(self, lists: SyncOptions, settings: Settings) -> Finished:
        warehouse = Warehouse.of_setting(settings.warehouse)
        with working_copy(warehouse, settings) as work:
            self.results = {result.name: result for result in sync_lists(work, settings, lists)}
            work.publish()
        problems = tuple(result.error for result in self.results.values() if result.error)
        return Finished(warehouse, True, False, self.now, warehouse.size_bytes, problems)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the published warehouse."""
        with Warehouse(self.path).read() as connection:
            return connection.execute(sql).fetchall()

    def answer(self, asked: Asked, _number: int) -> Reply:
        """Answer a request by cursor or by page number."""
        name = asked.path.rpartition("/")[2]
        since, limit, page, size = (int(asked.params.get(name, 0)) for name in NUMBERS)
        rows = self.lists[name]
        if limit:
            rows = [row for row in rows if row["id"] > since]
            links: dict[str, Any] = {"next_since_id": rows[limit - 1]["id"] if len(rows) > limit else None}
        else:
            rows, limit = rows[(page - 1) * size :], size
            links = {"next": "more"} if len(rows) > size else {}
        body = json.dumps({"links": links, "data": rows[:limit]}).encode()
        return Reply(self.raw(name, body), date=format_datetime(self.now, usegmt=True))


def rows_of(options: ProgramOptions) -> tuple[dict[str, list[Object]], datetime]:
    """Return what a sandbox program lists at the end of its history, by id, and when that is."""
    lists: dict[str, list[Object]] = json.loads(_snapshot(options))
    return {name: sorted(rows, key=lambda row: row["id"] or 0) for name, rows in lists.items()}, options.end


@lru_cache
def _snapshot(options: ProgramOptions) -> str:
    """Return the lists as text, from which each test reads rows of its own."""
    return json.dumps(Program(options).snapshot(options.end))


@contextmanager
def open_shop(path: Path, *, selection: str = "", **options: Any) -> Iterator[SmallShop]:
    """Serve a shop while a `with` block lasts; `options` are those of the sandbox program whose rows it has."""
    lists, now = rows_of(ProgramOptions(**{"seed": 7, "customers": 40, "months": 4} | options))
    shop = SmallShop(path, lists, now, selection=selection)
    with answering(lambda asked, number: shop.answer(asked, number)) as shop.stub:
        yield shop
