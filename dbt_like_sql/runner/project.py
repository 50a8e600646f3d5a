"""A project in memory: models, seeds, sources, tests, and how they hang together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, Literal

from dbt_like_sql.runner.data_tests import DataTest
from dbt_like_sql.runner.errors import ProjectError, did_you_mean
from dbt_like_sql.runner.relation import Origin

LAYERS = ("staging", "intermediate", "marts", "reports")
"""The folders of `models`, from the bottom up: a model reads its own layer or a lower one."""

SEEDS = "seeds"

_SHOWN = 3
"""So many origins of a column are named in its comment."""


@dataclass(frozen=True)
class Column:
    """One column, with what it comes from."""

    name: str
    description: str = ""
    data_type: str | None = None
    data_tests: tuple[DataTest, ...] = ()
    inputs: tuple[Origin, ...] = ()
    """The columns it is made of, one step back."""
    origins: tuple[Origin, ...] = ()
    """The columns of sources and seeds it is made of in the end. What a Python model makes of its tables
    cannot be told, so its columns count as an end too."""

    @property
    def comment(self) -> str:
        """Its description with what it comes from, as databases and catalogues show it."""
        more = f" and {len(self.origins) - _SHOWN} more" if len(self.origins) > _SHOWN else ""
        origins = ", ".join(map(str, self.origins[:_SHOWN]))
        return " ".join(filter(None, [self.description, f"(from {origins}{more})" if origins else ""]))


@dataclass(frozen=True)
class Source:
    """A table that somebody else loads."""

    relation: str
    description: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Node:
    """A table that the runner builds."""

    kind: Literal["model", "seed"]
    name: str
    schema: str
    path: PurePath
    """Relative to the project's folder."""
    description: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    data_tests: tuple[DataTest, ...] = ()
    """The tests of the whole table; those of a column are with the column."""
    depends_on: tuple[str, ...] = ()
    """The names of the models and seeds it reads."""
    sources: tuple[str, ...] = ()
    """The source tables it reads."""

    @property
    def relation(self) -> str:
        """Its name in SQL."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Model(Node):
    """A SELECT, or a Python function, in a file."""

    code: str = ""
    """The text of the file."""
    language: Literal["sql", "python"] = "sql"
    is_open: bool = False
    """Whether it may return columns that cannot be told from its text."""
    conditions: tuple[Origin, ...] = ()
    """The columns, one step back, that decide which rows it has: where, joins, groups."""


@dataclass(frozen=True)
class Seed(Node):
    """A CSV file."""

    column_types: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Project:
    """All of it. `nodes` are the seeds and models in the order in which they are built."""

    root: Path
    nodes: Mapping[str, Model | Seed]
    sources: Mapping[str, Source]
    singular_tests: tuple[DataTest, ...] = ()
    column_descriptions: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def models(self) -> tuple[Model, ...]:
        """The models in the order in which they are built."""
        return tuple(n for n in self.nodes.values() if isinstance(n, Model))

    @cached_property
    def seeds(self) -> tuple[Seed, ...]:
        """The seeds."""
        return tuple(n for n in self.nodes.values() if isinstance(n, Seed))

    def tests_of(self, name: str) -> tuple[DataTest, ...]:
        """The tests that run with a node: its own, its columns', and the singular ones it completes."""
        node = self.node(name)
        singular = [test for test in self.singular_tests if test.node == node.name]
        return (*node.data_tests, *(t for c in node.columns for t in c.data_tests), *singular)

    def node(self, name: str) -> Model | Seed:
        """Return the model or seed of that name, with or without its schema."""
        found = self.nodes.get(name.rsplit(".", 1)[-1])
        if found is None or name not in (found.name, found.relation):
            raise ProjectError(f"No model or seed is called {name}.{did_you_mean(name, self.nodes)}")
        return found

    @cached_property
    def tables(self) -> Mapping[str, Model | Seed | Source]:
        """Every table there is, sources first, by its name in SQL."""
        return {**self.sources, **{node.relation: node for node in self.nodes.values()}}

    def table(self, name: str) -> Model | Seed | Source:
        """Return the table of that name, with or without its schema."""
        wanted = name.strip().lower()
        found = self.tables.get(wanted) or self.nodes.get(wanted)
        if not found:
            found = next((t for r, t in self.tables.items() if r.rpartition(".")[2] == wanted), None)
        if not found:
            raise ProjectError(f"No table is called {name}.{did_you_mean(name, self.tables)}")
        return found

    def upstream(self, name: str) -> tuple[str, ...]:
        """All models and seeds that `name` is built from, in build order."""
        return self._reach(name, {n.name: n.depends_on for n in self.nodes.values()})

    def downstream(self, name: str) -> tuple[str, ...]:
        """All models that are built from `name`, in build order."""
        return self._reach(name, self._readers)

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
