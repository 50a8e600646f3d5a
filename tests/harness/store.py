"""A store that the sandbox serves on loopback, the warehouse it is synced into, and the store's clock."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import duckdb

from dbt_like_sql.runner import NodeResult, Project, load_project
from pipelines.load.sync import ListResult, SyncOptions, sync_lists
from pipelines.settings import Settings
from pipelines.warehouse import Build, Warehouse
from runs.run import Finished, Plan, run
from runs.shop import shop_to_sync
from sandbox import Program, ProgramOptions, Server, serve
from tests.harness.child import Child, Job
from tests.harness.command import run_command
from tests.harness.compare import Object, Row
from tests.harness.models import part
from tests.harness.settings import FAST, RIVO, environment, make_settings
from tests.harness.working_copy import working_copy

DAY = timedelta(days=1)


@lru_cache
def _whole_project() -> Project:
    """Return the SQL models as they ship, parsed once per process."""
    return load_project()


@lru_cache
def project(selection: str = "") -> Project:
    """Return the SQL models as they ship; or a project of the models that dbt's selectors name, and no others."""
    return part(_whole_project(), selection) if selection else _whole_project()


@dataclass(frozen=True)
class Observation:
    """What the API would have answered, list by list, at the moment of a sync."""

    at: datetime
    lists: dict[str, list[Object]]


@dataclass
class Store:
    """A served store and its warehouse. Syncs: in this process, in a child process, or by the `rivo` command."""

    server: Server
    path: Path
    """The published warehouse file."""
    options: dict[str, Any] = field(default_factory=dict)
    """Settings that differ from those of `make_settings`."""
    home: Path | None = None
    """The user's home for `rivo`; by default the folder of the warehouse."""
    must_complete: bool = False
    """Whether an incomplete list fails the test."""
    allow_shrink: Collection[str] = ()
    """Lists that may lose many rows in any sync."""
    selection: str = ""
    """The models that syncs and builds make, as dbt's selectors name them, such as "+dim_member"; all by default.

    `start_rivo` has all of them in any case."""
    keeps_observations: bool = False
    """Whether `observations` are kept; they cost a snapshot of the whole store a sync."""
    random: Random = field(default_factory=lambda: Random(0))
    """Random choices that are the same in each test run."""
    results: dict[str, ListResult] = field(default_factory=dict)
    """How each list of the last sync ended."""
    nodes: list[NodeResult] = field(default_factory=list)
    """How each model of the last sync ended."""
    finished: Finished | None = None
    """How the last sync with models ended."""
    observations: list[Observation] = field(default_factory=list)
    """One for each sync that read the customers completely."""

    # -- the store and its clock ----------------------------------------------------------------------

    @property
    def program(self) -> Program:
        return self.server.program

    @property
    def now(self) -> datetime:
        return self.server.now

    def wait(self, days: float = 1) -> datetime:
        """Move the store's clock and return the new time."""
        self.server.now += timedelta(days=days)
        return self.server.now

    def objects(self, name: str) -> dict[int, Object]:
        """Return what the API answers now for a list, by id."""
        return {row["id"]: row for row in self.program.view(self.now).objects(name)}

    def sent(self, name: str) -> list[dict[str, str]]:
        """Return the parameters of the requests that the last sync sent for a list."""
        return [r.params for r in self.server.requests if r.path.endswith(f"/{name}")]

    # -- settings -------------------------------------------------------------------------------------

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.path)

    @property
    def settings(self) -> Settings:
        return make_settings(self.server, **({"warehouse": str(self.path)} | self.options))

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment of the `rivo` command: the same settings, as variables."""
        options = FAST | self.options
        return environment(
            self.home or self.path.parent,
            **{
                "RIVO_API_KEY": self.server.key,
                "RIVO_API_URL": self.server.url,
                "RIVO_WAREHOUSE": str(self.path),
                **{f"RIVO_{name.upper()}": str(value) for name, value in options.items()},
                **variables,
            },
        )

    def with_warehouse(self, name: str) -> Store:
        """Return the same store with another warehouse, in a folder beside this one's."""
        path = self.path.parent.parent / name / self.path.name
        return Store(self.server, path, self.options, selection=self.selection, random=self.random)

    # -- syncs ----------------------------------------------------------------------------------------

    def sync(
        self,
        *only: str,
        at: datetime | None = None,
        models: bool = False,
        full: bool = False,
        allow_shrink: Collection[str] = (),
        faults: Collection[str] = (),
        rewind: bool = False,
    ) -> dict[str, ListResult]:
        """Read the lists named, or all, and publish, whatever became of them.

        Args:
            only: lists to read; all by default.
            at: the time to which the store's clock is set first.
            models: whether the models are built and checked too; one that is not published fails the test.
            full, allow_shrink, rewind: as in `SyncOptions`.
            faults: the server's misbehaviour during this sync, such as "http_500:customers=0.2".
        """
        self.server.now = at or self.server.now
        self.server.faults = faults
        self.server.requests.clear()
        options = SyncOptions(only, full, allow_shrink=(*allow_shrink, *self.allow_shrink), rewind=rewind)
        try:
            if models:
                self.run(options)
                # A selection is a project without the other models: those that exist are dropped.
                right = {"success", "unchanged", *(["dropped"] if self.selection else [])}
                wrong = [(node.name, node.message) for node in self.nodes if node.status not in right]
                assert not wrong, wrong
                assert self.finished
                assert self.finished.published, self.finished.problems
            else:
                self._sync_lists(options)
        finally:
            self.server.faults = ()
        incomplete = [result.error for result in self.results.values() if not result.complete]
        assert not (self.must_complete and incomplete), incomplete
        if self.keeps_observations and "customers" in self.results and self.results["customers"].complete:
            self.observations.append(Observation(self.now, self.program.snapshot(self.now)))
        return self.results

    def _sync_lists(self, options: SyncOptions) -> None:
        settings = self.settings
        with working_copy(self.warehouse, settings) as work:
            self.results = {result.name: result for result in sync_lists(work, settings, options)}
            work.publish()

    def run(self, lists: SyncOptions | None, prepare: Callable[[Build], object] | None = None) -> Finished:
        """Read lists, build the models and publish, as `rivo sync` and `rivo models build` do, without Dagster."""
        chosen = project(self.selection)
        plan = Plan(lists, list(chosen.nodes), publish=True, prepare=prepare)
        events = list(run(plan, chosen, shop_to_sync(self.settings)))
        self.results = {event.name: event for event in events if isinstance(event, ListResult)}
        self.nodes = [event for event in events if isinstance(event, NodeResult)]
        [self.finished] = [event for event in events if isinstance(event, Finished)]
        return self.finished

    def build(self, prepare: Callable[[Build], object] | None = None) -> None:
        """Build and check the models, after `prepare` has changed the working copy, and publish. Reads no list."""
        finished = self.run(None, prepare)
        assert not finished.problems, finished.problems

    def change(self, prepare: Callable[[Build], Any]) -> Any:
        """Change the working copy, publish it, and return what `prepare` returns."""
        with self.warehouse.build() as work:
            result = prepare(work)
            work.publish()
        return result

    def start(self, *, models: bool = False, full: bool = False, file_limit: int | None = None) -> Child:
        """Start a sync of all lists in a child process that can be killed."""
        chosen = project(self.selection) if models else None
        return Child(Job(self.path, self.settings, chosen, full, file_limit))

    def sync_in_child(self, *, models: bool = False, full: bool = False) -> str | None:
        """Sync in a child process and wait for its end; return the error, None on success."""
        return self.start(models=models, full=full).end()

    # -- the rivo command -----------------------------------------------------------------------------

    def rivo(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `rivo ARGUMENTS` to its end; `variables` are added to its environment."""
        folder = self.home or self.path.parent
        return run_command(
            [RIVO, *arguments], self.environment(**variables), folder, selection=self.selection
        )

    def start_rivo(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `rivo ARGUMENTS` as the head of a process group, with stderr in stdout."""
        folder = self.home or self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [RIVO, *arguments],
            env=self.environment(),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    # -- the published warehouse ----------------------------------------------------------------------

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query as tuples."""
        with self.warehouse.read() as connection:
            return connection.execute(sql, list(parameters)).fetchall()

    def dicts(self, sql: str, *parameters: Any) -> list[Row]:
        """Return the rows of a query by column."""
        with self.warehouse.read() as connection:
            return _dicts(connection.execute(sql, list(parameters)))

    def rows_of(self, tables: Iterable[str]) -> dict[str, list[Row]]:
        """Return the rows of tables by column, such as those of "marts.dim_tier"."""
        with self.warehouse.read() as connection:
            return {table: _dicts(connection.execute(f"from {table}")) for table in tables}

    def table(self, name: str, alive: bool = True) -> dict[int, Row]:
        """Return a raw table by id, without the deleted rows unless `alive` is false."""
        condition = "where _deleted_at is null" if alive else ""
        return {row["id"]: row for row in self.dicts(f"from rivo_raw.{name} {condition}")}

    def contents(self, *names: str) -> dict[str, list[tuple[Any, ...]]]:
        """Return whole tables of `rivo_raw`, sorted; where none is named, all but the one about the publication."""
        with self.warehouse.read() as connection:
            found = names or [
                name
                for (name,) in connection.execute(
                    "select table_name from information_schema.tables where table_schema = 'rivo_raw' "
                    "and table_name <> '_publication' order by 1"
                ).fetchall()
            ]
            return {
                name: connection.execute(f'select * from rivo_raw."{name}" order by all').fetchall()
                for name in found
            }


def _dicts(cursor: duckdb.DuckDBPyConnection) -> list[Row]:
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@contextmanager
def open_store(path: Path, program: Program | ProgramOptions, **values: Any) -> Iterator[Store]:
    """Serve a program while a `with` block lasts; `values` are fields of `Store`. The warehouse does not exist yet."""
    if isinstance(program, ProgramOptions):
        program = Program(program)
    with serve(program, rate_limit=0) as server:
        yield Store(server, path, **values)
