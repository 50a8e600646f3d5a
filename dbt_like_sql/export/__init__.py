"""Export of the SQL project as a dbt project for another engine.

    exported = export(load_project(), Path("dbt"), "postgres")
    exported.left_out       # models that this engine cannot build, with the reason

The SQL is transpiled by `export.dialects`, the only package that writes SQL of other engines. The result depends on
nothing but the project: the same project gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from dbt_like_sql.export.engines import ENGINES
from dbt_like_sql.export.errors import ExportError

if TYPE_CHECKING:
    from dbt_like_sql.export.folder import Written
    from dbt_like_sql.runner.project import Project

__all__ = ["ENGINES", "ExportError", "Exported", "export", "exported_files"]


@dataclass(frozen=True)
class Exported:
    """Result of an export."""

    models: int
    tests: int
    left_out: Mapping[str, str]
    """Models that the engine cannot build, with the reason."""
    written: Written


def export(
    project: Project, folder: Path, dialect: str, *, shop: str = "", overwrite: bool = False
) -> Exported:
    """Write a project as a dbt project for an engine.

    Args:
        project: the project, with the seeds of the shop.
        folder: where to write; it must be empty, new, or written by an earlier export.
        dialect: a key of `ENGINES`.
        shop: the shop whose seeds the project has; only named in texts.
        overwrite: whether files that a person has changed since the last export are replaced.

    Raises:
        ExportError: the folder cannot be used; nothing was written.
    """
    # Imported here, since every command imports the names of the engines.
    from dbt_like_sql.export.choice import choose
    from dbt_like_sql.export.folder import write_folder

    choice = choose(project, dialect)
    files = exported_files(project, dialect, shop=shop)
    about = {"written_by": f"rivo-warehouse {version('rivo-warehouse')}", "dialect": dialect, "shop": shop}
    written = write_folder(folder, files, about, force=overwrite)
    tests = len(choice.singular_tests) + sum(
        bool(test.kind) and choice.has((test.node, *test.depends_on))
        for node in project.nodes.values()
        for test in project.tests_of(node.name)
    )
    return Exported(len(choice.models), tests, choice.left_out, written)


def exported_files(project: Project, dialect: str, *, shop: str = "") -> Mapping[str, str | bytes]:
    """Return the content of each file of the dbt project, by its path."""
    # Imported here, since sqlglot is slow to import.
    from dbt_like_sql.export.choice import choose
    from dbt_like_sql.export.project_files import project_files
    from dbt_like_sql.export.property_files import property_files
    from dbt_like_sql.export.sql_files import analysis_files, model_files, test_files

    choice = choose(project, dialect)
    seeds = {f"seeds/{seed.name}.csv": (project.root / seed.path).read_bytes() for seed in project.seeds}
    return {
        **seeds,
        **model_files(choice),
        **test_files(choice),
        **analysis_files(choice),
        **property_files(choice),
        **project_files(choice, shop),
    }
