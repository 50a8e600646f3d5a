"""The derived models as plain SQL, and the small runner that builds and tests them.

Drop `models/<layer>/<name>.sql`, one SELECT, and it is a table `<layer>.<name>` with the next
build. What it reads is found in its SQL. Descriptions and tests stand beside it, in `*.yml`
files of dbt's shape.

    project = load_project()                        # or ProjectError: what is wrong, and where
    for result in build(connection, project, select(project, "+dim_member")):
        print(result.name, result.status, result.message)

    project.upstream("dim_member")                  # all that it is built from
    project.node("dim_member").columns[0].origins   # the raw columns behind a column
"""

from dbt_like_sql.runner.build import build
from dbt_like_sql.runner.checking import TestResult
from dbt_like_sql.runner.data_tests import DOCUMENTED_COLUMNS, GENERIC_TESTS, DataTest, is_named_by_default
from dbt_like_sql.runner.errors import ProjectError
from dbt_like_sql.runner.last_results import read as last_results
from dbt_like_sql.runner.nodes import NodeResult
from dbt_like_sql.runner.parsing import load_project
from dbt_like_sql.runner.project import LAYERS, Column, Model, Project, Seed, Source
from dbt_like_sql.runner.relation import Origin
from dbt_like_sql.runner.selection import select

__all__ = [
    "DOCUMENTED_COLUMNS",
    "GENERIC_TESTS",
    "LAYERS",
    "Column",
    "DataTest",
    "Model",
    "NodeResult",
    "Origin",
    "Project",
    "ProjectError",
    "Seed",
    "Source",
    "TestResult",
    "build",
    "is_named_by_default",
    "last_results",
    "load_project",
    "select",
]
