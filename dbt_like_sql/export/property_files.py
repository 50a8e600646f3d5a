"""The property files of a dbt project: sources, models with their tests, seeds, singular tests, exposures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

import yaml

from dbt_like_sql.export.choice import Choice
from dbt_like_sql.export.dialects import condition, data_type
from dbt_like_sql.export.engines import ENGINES
from dbt_like_sql.export.sql_files import call, singular_test
from dbt_like_sql.runner.data_tests import DataTest
from dbt_like_sql.runner.files import entry_of
from dbt_like_sql.runner.project import ColumnInfo, Model, Project, Seed
from dbt_like_sql.runner.properties import Properties, read_properties

_OF_DBT = ("not_null", "unique", "accepted_values", "relationships")
_KNOWN_KEYS = {"name", "description", "config", "arguments", "severity", "where"}
_SCHEMAS = {
    "rivo_raw": "Rivo's lists as its API returns them, with their histories and the log of syncs.",
    "rivo_actions": "What the warehouse's actions sent to Rivo.",
}


_FOLDED = 90
"""Length from which a text is written over several lines."""


def property_files(choice: Choice) -> Mapping[str, str]:
    """Return the text of each property file by its path, and of the tests that need a file of their own."""
    properties = read_properties(choice.project.root)
    own_files: dict[str, str] = {}
    files = {"models/staging/_rivo__sources.yml": {"sources": _sources(choice, properties)}}
    for path, nodes in _by_file(choice, properties).items():
        kind = "seeds" if path.startswith("seeds/") else "models"
        files[path] = {kind: [_node(node, choice, properties, own_files) for node in nodes]}
    files["tests/_tests__data_tests.yml"] = {"data_tests": _singular(choice)}
    return {path: dump({"version": 2, **content}) for path, content in files.items()} | own_files


def dump(content: Any) -> str:
    """Write YAML with keys in their order, and long texts as folded lines."""
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


class _Dumper(yaml.SafeDumper):
    """Indents the items of lists, as people write property files."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = ">" if len(text) > _FOLDED else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def _by_file(choice: Choice, properties: Properties) -> Mapping[str, list[Model | Seed]]:
    """Return the nodes by the property file that describes them, or that of their folder."""
    found: dict[str, list[Model | Seed]] = defaultdict(list)
    nodes: list[Model | Seed] = [*choice.project.seeds, *sorted(choice.models, key=lambda model: model.path)]
    for node in nodes:
        where = entry_of(node, properties).where.partition(",")[0]
        found[where or f"{PurePath(node.path).parent}/_{node.schema}__models.yml"].append(node)
    return {path: found[path] for path in sorted(found)}


def _sources(choice: Choice, properties: Properties) -> list[dict[str, Any]]:
    database = ENGINES[choice.dialect].database
    sources = []
    for schema, description in _SCHEMAS.items():
        tables = [s for s in choice.project.sources.values() if s.relation.split(".")[0] == schema]
        source: dict[str, Any] = {"name": schema, "description": description}
        if database:
            source["database"] = database
        source["schema"] = f"{{{{ var('{schema}_schema', '{schema}') }}}}"
        source["tables"] = [
            {
                "name": table.relation.split(".")[1],
                "description": table.description,
                "columns": [
                    _column(column, choice)
                    | _personal(properties.sources[table.relation].columns[column.name])
                    for column in table.columns
                ],
            }
            for table in tables
        ]
        sources.append(source)
    return sources


def _personal(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a source column that says which kind of personal data it holds."""
    kind = ((raw.get("config") or {}).get("meta") or {}).get("personal")
    return {"config": {"meta": {"personal": kind}}} if kind else {}


def _column(column: ColumnInfo, choice: Choice) -> dict[str, Any]:
    described: dict[str, Any] = {"name": column.name}
    if column.data_type:
        described["data_type"] = data_type(column.data_type, choice.dialect)
    if column.description:
        described["description"] = column.description
    return described


def _node(
    node: Model | Seed, choice: Choice, properties: Properties, own_files: dict[str, str]
) -> dict[str, Any]:
    entry = entry_of(node, properties)
    config: dict[str, Any] = {}
    if isinstance(node, Seed) and node.column_types:
        types = node.column_types
        config["column_types"] = {name: data_type(types[name], choice.dialect) for name in types}
    if isinstance(node, Model) and "materialized" in entry.config:
        config["materialized"] = node.materialized
    meta = {key: value for key, value in node.meta.items() if key != "example"}
    config |= {"tags": list(node.tags)} if node.tags else {}
    config |= {"meta": meta} if meta else {}
    described: dict[str, Any] = {"name": node.name, "description": node.description}
    described |= {"config": config} if config else {}
    tests = list(_tests(entry.data_tests, _generic(node.data_tests), choice, own_files))
    described |= {"data_tests": tests} if tests else {}
    columns = []
    for column in node.columns:
        of_column = _column(column, choice)
        raw = (entry.columns.get(column.name) or {}).get("data_tests") or ()
        if tests := list(_tests(raw, _generic(column.data_tests), choice, own_files)):
            of_column["data_tests"] = tests
        columns.append(of_column)
    return described | {"columns": columns}


def _generic(tests: tuple[DataTest, ...]) -> list[DataTest]:
    return [test for test in tests if test.kind]


def _tests(
    entries: Any, tests: list[DataTest], choice: Choice, own_files: dict[str, str]
) -> Iterator[str | dict[str, Any]]:
    """Yield dbt's entry of each generic test; `entries` are those of the property file, in the same order."""
    for raw, test in zip(entries, tests, strict=True):
        if not choice.has(test.depends_on):
            continue
        given = {} if isinstance(raw, str) else (next(iter(raw.values())) or {})
        entry = _generic_test(given, test, choice)
        if entry is None:
            own_files[f"tests/{test.name}.sql"] = singular_test(test, choice)
        else:
            yield {test.kind: entry} if entry else test.kind


def _generic_test(given: Mapping[str, Any], test: DataTest, choice: Choice) -> dict[str, Any] | None:
    """Return name, description, arguments and config of a test; None if it must be a query of its own."""
    arguments = {k: v for k, v in given.items() if k not in _KNOWN_KEYS} | (given.get("arguments") or {})
    config = {k: given[k] for k in ("severity", "where") if k in given} | (given.get("config") or {})
    if "where" in config:
        config["where"], reads_others = condition(config["where"], choice.dialect)
        if reads_others:
            return None
    if "expression" in arguments:
        prefix = f"{test.column} " if test.column else ""
        expression, reads_others = condition(f"{prefix}{arguments['expression']}", choice.dialect)
        if reads_others or not expression.startswith(prefix):
            return None
        arguments["expression"] = expression.removeprefix(prefix).strip()
    if "to" in arguments:
        arguments["to"] = _target(str(arguments["to"]), choice.project)
    entry: dict[str, Any] = {}
    if test.kind not in _OF_DBT or given.get("name") or test.name[-1].isdigit():
        entry["name"] = test.name
    if given.get("description"):
        entry["description"] = str(given["description"]).strip()
    entry |= {"arguments": arguments} if arguments else {}
    return entry | ({"config": config} if config else {})


def _target(to: str, project: Project) -> str:
    if to.startswith(("ref(", "source(")):
        return to
    return call(project, project.table(to).relation if "." not in to else to)


def _singular(choice: Choice) -> list[dict[str, Any]]:
    described = []
    for test in choice.singular_tests:
        entry: dict[str, Any] = {"name": test.name}
        if test.description:
            entry["description"] = test.description
        described.append(entry)
    return described
