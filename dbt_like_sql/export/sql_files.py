"""The SQL files of a dbt project: models, tests, and the example queries as analyses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dbt_like_sql.export.choice import Choice
from dbt_like_sql.export.dbt_python import dbt_python
from dbt_like_sql.export.dialects import transpile
from dbt_like_sql.export.engines import ENGINES
from dbt_like_sql.runner import python_models
from dbt_like_sql.runner.data_tests import DataTest
from dbt_like_sql.runner.project import Model, Project, Source

WITHOUT_RECURSION = Path(__file__).parent / "models"
"""Models written without recursion, for engines in which a recursive query can read itself only once."""


def call(project: Project, relation: str) -> str:
    """Return dbt's call for a table by its name in SQL: `ref('dim_member')`, `source('rivo_raw', 'customers')`."""
    table = project.tables[relation]
    if isinstance(table, Source):
        schema, name = relation.split(".")
        return f"source('{schema}', '{name}')"
    return f"ref('{table.name}')"


def columns(project: Project) -> Mapping[str, Sequence[str]]:
    """Return the column names of every table, by its name in SQL."""
    return {name: [column.name for column in table.columns] for name, table in project.tables.items()}


def dbt_sql(sql: str, choice: Choice) -> str:
    """Return a SELECT of the project in the dialect of the engine, with dbt's calls in place of tables."""
    project = choice.project
    return transpile(sql, choice.dialect, columns(project), lambda name: f"{{{{ {call(project, name)} }}}}")


def model_files(choice: Choice) -> Mapping[str, str]:
    """Return the text of each model's file by its path."""
    return {str(model.path): _model(model, choice) for model in choice.models}


def _model(model: Model, choice: Choice) -> str:
    project = choice.project
    if model.language == "python":
        relations = python_models.names(
            [project.node(name).relation for name in model.depends_on], model.sources
        )
        return dbt_python(model, lambda name: call(project, name), dict(relations))
    code = model.code
    portable = WITHOUT_RECURSION / model.path.name
    if portable.exists() and not ENGINES[choice.dialect].recursion:
        code = portable.read_text(encoding="utf-8")
    return dbt_sql(code, choice).rstrip("\n") + "\n"


def test_files(choice: Choice) -> Mapping[str, str]:
    """Return the text of each singular test's file by its path."""
    return {f"tests/{test.name}.sql": singular_test(test, choice) for test in choice.singular_tests}


def singular_test(test: DataTest, choice: Choice) -> str:
    """Return the file of a test that is a query of its own."""
    severity = "{{ config(severity='warn') }}\n\n" if test.severity == "warn" else ""
    return severity + dbt_sql(test.sql, choice).rstrip("\n") + "\n"


def analysis_files(choice: Choice) -> Mapping[str, str]:
    """Return the example queries of the models' `meta.example` by their paths, for `dbt compile` and `dbt show`."""
    files = {}
    for model in choice.models:
        for example in model.texts("example"):
            comment = "".join(f"-- {question}\n" for question in model.texts("questions"))
            files[f"analyses/{model.name}_example.sql"] = comment + dbt_sql(example, choice).rstrip() + "\n"
    return files
