"""Small runner that builds and tests a project of SQL models laid out like a dbt project.

Add a file `models/<layer>/<name>.sql` with one SELECT, and the next build creates the table
`<layer>.<name>`. The runner finds dependencies by parsing the SQL. Descriptions and tests are
in `*.yml` property files next to the models, in dbt's format.

    project = load_project()                        # raises ProjectError: what is wrong, and where
    for result in build(connection, project, select(project, "+dim_member")):
        print(result.name, result.status, result.message)

    project.upstream("dim_member")                  # every model and seed it is built from
    project.node("dim_member").columns[0].origins   # the raw columns that a column comes from
"""

from dbt_like_sql.runner.build import build
from dbt_like_sql.runner.checking import TestResult
from dbt_like_sql.runner.data_tests import DOCUMENTED_COLUMNS, GENERIC_TESTS, DataTest
from dbt_like_sql.runner.errors import ProjectError
from dbt_like_sql.runner.last_results import read as last_results
from dbt_like_sql.runner.loading import load_project
from dbt_like_sql.runner.nodes import NodeResult
from dbt_like_sql.runner.project import LAYERS, Action, ColumnInfo, Model, Project, Seed, Source
from dbt_like_sql.runner.relation import Origin
from dbt_like_sql.runner.selection import select

__all__ = [
    "DOCUMENTED_COLUMNS",
    "GENERIC_TESTS",
    "LAYERS",
    "Action",
    "ColumnInfo",
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
    "last_results",
    "load_project",
    "select",
]
