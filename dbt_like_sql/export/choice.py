"""Which models and tests can be exported for an engine, and why the others cannot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dbt_like_sql.export.engines import ENGINES
from dbt_like_sql.runner.data_tests import DataTest
from dbt_like_sql.runner.project import Model, Project

_PYTHON = "written in Python with pandas DataFrames, which dbt does not run on this engine"


@dataclass(frozen=True)
class Choice:
    """The models that are exported for one engine, and those that are left out."""

    project: Project
    dialect: str
    left_out: Mapping[str, str]
    """Models that are not exported, with the reason."""

    def has(self, names: Iterable[str]) -> bool:
        """Return whether all of these models and seeds are exported."""
        return not any(name in self.left_out for name in names)

    @property
    def models(self) -> list[Model]:
        """Exported models in build order."""
        return [model for model in self.project.models if model.name not in self.left_out]

    @property
    def singular_tests(self) -> list[DataTest]:
        """Exported tests that have their own file."""
        return [test for test in self.project.singular_tests if self.has((test.node, *test.depends_on))]


def choose(project: Project, dialect: str) -> Choice:
    """Choose the models of a project that an engine can build."""
    left_out: dict[str, str] = {}
    for model in project.models:
        if model.language == "python" and not ENGINES[dialect].python:
            left_out[model.name] = _PYTHON
        elif missing := [name for name in model.depends_on if name in left_out]:
            left_out[model.name] = f"reads {', '.join(missing)}"
    return Choice(project, dialect, left_out)
