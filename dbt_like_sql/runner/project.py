"""In-memory representation of a project: models, seeds, sources, tests and their dependencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, Literal

from dbt_like_sql.runner.data_tests import DataTest
from dbt_like_sql.runner.errors import ProjectError, did_you_mean
from dbt_like_sql.runner.relation import Origin

LAYERS = ("staging", "intermediate", "marts", "reports")
"""Folders below `models`, lowest first. A model can only read its own layer or a lower one."""

SEEDS = "seeds"
"""Schema of the seeds."""

Materialization = Literal["table", "view"]

MATERIALIZED: Mapping[str, Materialization] = {"staging": "view"}
"""How the models of a layer are stored if their properties do not say it: as tables, except in these layers."""

_SHOWN_ORIGINS = 3
"""Number of origins that a short text about a column names."""


@dataclass(frozen=True)
class ColumnInfo:
    """Column of a table, with its description, tests and lineage."""

    name: str
    description: str = ""
    data_type: str | None = None
    data_tests: tuple[DataTest, ...] = ()
    inputs: tuple[Origin, ...] = ()
    """Columns of the tables read directly, from which it is computed."""
    origins: tuple[Origin, ...] = ()
    """Columns of sources and seeds from which it is ultimately computed. The columns of a Python model are
    origins too, because its code is not analysed."""


@dataclass(frozen=True)
class Source:
    """Table that is loaded by another program."""

    relation: str
    description: str
    columns: tuple[ColumnInfo, ...]


@dataclass(frozen=True)
class Node:
    """Table that the runner builds."""

    kind: Literal["model", "seed", "action"]
    name: str
    schema: str
    path: PurePath
    """Path of its file, relative to the project folder."""
    description: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    columns: tuple[ColumnInfo, ...] = ()
    data_tests: tuple[DataTest, ...] = ()
    """Generic tests of the whole table; those of a column are in `columns`."""
    depends_on: tuple[str, ...] = ()
    """Names of the models and seeds it reads."""
    sources: tuple[str, ...] = ()
    """Names in SQL of the source tables it reads."""
    materialized: Materialization = "table"

    @property
    def relation(self) -> str:
        """Name in SQL: `schema.name`."""
        return f"{self.schema}.{self.name}"

    def texts(self, key: str) -> list[str]:
        """Return an entry of `meta`, which may be a list or a single value, as a list; empty if there is none."""
        value = self.meta.get(key)
        return [str(text) for text in (value if isinstance(value, list) else [value]) if text]


@dataclass(frozen=True)
class Model(Node):
    """Model: a file with a SELECT or a Python function."""

    code: str = ""
    """Text of the file."""
    language: Literal["sql", "python"] = "sql"
    is_open: bool = False
    """Whether it may return columns that cannot be inferred from its text."""
    conditions: tuple[Origin, ...] = ()
    """Columns of the tables read directly that determine its rows: in filters, joins and groups."""


@dataclass(frozen=True)
class Action(Model):
    """Action: a file with a SELECT that returns one row for each call."""

    action: str = ""
    """What each row does: one of `actions.ACTION_KINDS`."""
    key: tuple[str, ...] = ()
    """Columns that make a row unique: no two rows with the same values are ever carried out."""
    limits: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)
    """By scope, the most rows, points and money."""
    trigger: str | None = None
    """The event after which Dagster can apply it: one of `actions.TRIGGERS`."""
    enabled: bool = False
    send_email: bool = False
    """Whether Rivo may send mails."""
    allow_negative: bool = False
    """Whether a balance may become negative."""


@dataclass(frozen=True)
class Seed(Node):
    """Seed: a CSV file."""

    column_types: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Project:
    """Complete project. `nodes` holds the seeds and models by name, in build order."""

    root: Path
    nodes: Mapping[str, Model | Seed]
    sources: Mapping[str, Source]
    singular_tests: tuple[DataTest, ...] = ()
    column_descriptions: Mapping[str, str] = field(default_factory=dict)
    actions: Mapping[str, Action] = field(default_factory=dict)
    """Actions by name: SELECTs that are read like models and never built."""

    @cached_property
    def models(self) -> tuple[Model, ...]:
        """Models in build order."""
        return tuple(n for n in self.nodes.values() if isinstance(n, Model))

    @cached_property
    def seeds(self) -> tuple[Seed, ...]:
        """Seeds in build order."""
        return tuple(n for n in self.nodes.values() if isinstance(n, Seed))

    def tests_of(self, name: str) -> tuple[DataTest, ...]:
        """Return the tests that run with a node: of the table, of its columns, and its singular tests."""
        node = self.node(name)
        singular = [test for test in self.singular_tests if test.node == node.name]
        return (*node.data_tests, *(t for c in node.columns for t in c.data_tests), *singular)

    def origins_of(self, column: ColumnInfo) -> list[Origin]:
        """Return the origins of a column without those of the clock, which say nothing about its meaning.

        The clock is the model whose `meta` has `is_clock: true`.
        """
        return [origin for origin in column.origins if origin not in self._clock]

    def short_origins(self, column: ColumnInfo) -> str:
        """Return up to three origins of a column, or else their tables: "customers.vip_tier"; empty without any."""
        origins = [str(origin).partition(".")[2] for origin in self.origins_of(column)]
        if len(origins) > _SHOWN_ORIGINS:
            origins = list(dict.fromkeys(origin.partition(".")[0] for origin in origins))
        more = len(origins) - _SHOWN_ORIGINS
        return ", ".join(origins[:_SHOWN_ORIGINS]) + (f" and {more} more" if more > 0 else "")

    def described(self, column: ColumnInfo) -> str:
        """Return the meaning of a column and where it comes from: "Name of the tier. (from customers.vip_tier)"."""
        origins = self.short_origins(column)
        return " ".join(filter(None, [column.description, f"(from {origins})" if origins else ""]))

    @cached_property
    def _clock(self) -> frozenset[Origin]:
        clocks = [node for node in self.nodes.values() if node.meta.get("is_clock")]
        return frozenset(origin for node in clocks for column in node.columns for origin in column.origins)

    def node(self, name: str) -> Model | Seed:
        """Return a model or seed by its name, with or without the schema.

        Raises:
            ProjectError: there is no such model or seed.
        """
        found = self.nodes.get(name.rsplit(".", 1)[-1])
        if found is None or name not in (found.name, found.relation):
            raise ProjectError(f"No model or seed is called {name}.{did_you_mean(name, self.nodes)}")
        return found

    @cached_property
    def tables(self) -> Mapping[str, Model | Seed | Source]:
        """Every source, seed and model, sources first, by its name in SQL."""
        return {**self.sources, **{node.relation: node for node in self.nodes.values()}}

    def table(self, name: str) -> Model | Seed | Source:
        """Return a source, seed or model by its name, with or without the schema.

        Raises:
            ProjectError: there is no such table.
        """
        wanted = name.strip().lower()
        found = self.tables.get(wanted) or self.nodes.get(wanted)
        if not found:
            found = next((t for r, t in self.tables.items() if r.rpartition(".")[2] == wanted), None)
        if not found:
            raise ProjectError(f"No table is called {name}.{did_you_mean(name, self.tables)}")
        return found

    def upstream(self, name: str) -> tuple[str, ...]:
        """Return all models and seeds that `name` is built from, in build order."""
        return self._reach(name, self._inputs)

    def downstream(self, name: str) -> tuple[str, ...]:
        """Return all models that are built from `name`, in build order."""
        return self._reach(name, self._readers)

    @cached_property
    def _inputs(self) -> Mapping[str, Sequence[str]]:
        return {node.name: node.depends_on for node in self.nodes.values()}

    @cached_property
    def _readers(self) -> Mapping[str, Sequence[str]]:
        readers: dict[str, list[str]] = {name: [] for name in self.nodes}
        for node in self.nodes.values():
            for read in node.depends_on:
                readers[read].append(node.name)
        return readers

    def _reach(self, name: str, edges: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        found: set[str] = set()
        todo = list(edges[self.node(name).name])
        while todo:
            step = todo.pop()
            if step not in found:
                found.add(step)
                todo.extend(edges[step])
        return tuple(n for n in self.nodes if n in found)
