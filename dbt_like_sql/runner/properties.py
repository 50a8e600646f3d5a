"""Read and merge the property files (`*.yml`), and reject unknown or contradictory entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import yaml

from dbt_like_sql.runner.data_tests import check_keys, mapping
from dbt_like_sql.runner.errors import ProjectError

# The libyaml loader is about ten times faster. Wheels include it; builds from source may not.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

COLUMN_DESCRIPTIONS = "column_descriptions.yml"
"""File with the descriptions shared by all columns of the same name."""

_FILE_KEYS = {"version", "models", "seeds", "sources", "data_tests", "actions"}
_NODE_KEYS = {"name", "description", "config", "columns", "data_tests", "meta", "tags"}
_COLUMN_KEYS = {"name", "description", "data_tests", "data_type", "config"}
_CONFIG_KEYS = {
    "models": {"meta", "tags", "materialized"},
    "seeds": {"meta", "tags", "column_types"},
    "data_tests": {"meta", "tags", "severity"},
    "actions": {
        "meta",
        "tags",
        "action",
        "key",
        "limits",
        "trigger",
        "enabled",
        "send_email",
        "allow_negative",
    },
}


@dataclass(frozen=True)
class Entry:
    """Properties of one model, seed or singular test."""

    where: str = ""
    """File and name, the beginning of an error message."""
    name: str = ""
    description: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    data_tests: tuple[Any, ...] = ()


@dataclass(frozen=True)
class SourceEntry:
    """Properties of one source table; `relation` is its name in SQL."""

    relation: str
    description: str
    columns: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Properties:
    """Merged content of all property files of a project."""

    models: Mapping[str, Entry]
    seeds: Mapping[str, Entry]
    data_tests: Mapping[str, Entry]
    actions: Mapping[str, Entry]
    sources: Mapping[str, SourceEntry]
    column_descriptions: Mapping[str, str]


def read_properties(root: Path) -> Properties:
    """Read every property file below `models`, `seeds`, `tests` and `actions`, and the shared column descriptions.

    Raises:
        ProjectError: a file is not valid YAML, or has an unknown, duplicate or misplaced entry.
    """
    nodes: dict[str, dict[str, Entry]] = {kind: {} for kind in _CONFIG_KEYS}
    sources: dict[str, SourceEntry] = {}
    shared: dict[str, str] = {}
    for path in _yaml_files(root):
        file = path.relative_to(root)
        content = mapping(_load(path, file), str(file))
        if path.name == COLUMN_DESCRIPTIONS:
            shared |= {column.lower(): _text(text) for column, text in content.items()}
            continue
        check_keys(content, _FILE_KEYS, str(file))
        for kind, entries in nodes.items():
            for raw in _entries(content.get(kind), f"{file}, {kind}"):
                entry = _node(raw, kind, file)
                if entry.name in entries:
                    raise ProjectError(f"{entry.where} is already described in {entries[entry.name].where}.")
                entries[entry.name] = entry
        for raw in _entries(content.get("sources"), f"{file}, sources"):
            for source in _source(raw, file):
                sources[source.relation] = source
    return Properties(**nodes, sources=sources, column_descriptions=shared)


def made_from(column: Mapping[str, Any]) -> list[str]:
    """Read `config.meta.made_from` of a source column: the columns from which the loader computes it."""
    return [str(of).lower() for of in (column.get("config") or {}).get("meta", {}).get("made_from", [])]


def _yaml_files(root: Path) -> Iterator[Path]:
    yield from sorted(root.glob(COLUMN_DESCRIPTIONS))
    for folder in ("models", "seeds", "tests", "actions"):
        for pattern in ("*.yml", "*.yaml"):
            yield from sorted((root / folder).rglob(pattern))


def _load(path: Path, file: PurePath) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ProjectError(f"{file}{line}: this is not valid YAML: {error.problem}.") from None


def _node(raw: dict[str, Any], kind: str, file: PurePath) -> Entry:
    where = f"{file}, {raw['name']}"
    # dbt accepts meta and tags in both places; an action is ours alone.
    in_both = _CONFIG_KEYS[kind] if kind == "actions" else {"meta", "tags"}
    check_keys(raw, _NODE_KEYS | in_both, where)
    config = mapping(raw.get("config"), where)
    check_keys(config, _CONFIG_KEYS[kind], f"{where}, config")
    config |= {key: raw[key] for key in in_both if key in raw}
    return Entry(
        where,
        str(raw["name"]).lower(),
        _text(raw.get("description")),
        config,
        _columns(raw, where),
        tuple(raw.get("data_tests") or ()),
    )


def _source(raw: dict[str, Any], file: PurePath) -> Iterator[SourceEntry]:
    where = f"{file}, source {raw['name']}"
    check_keys(raw, {"name", "schema", "description", "tables", "config", "meta", "tags"}, where)
    schema = str(raw.get("schema") or raw["name"]).lower()
    for table in _entries(raw.get("tables"), where):
        relation = f"{schema}.{str(table['name']).lower()}"
        check_keys(table, {"name", "description", "columns", "config", "meta", "tags"}, f"{file}, {relation}")
        columns = _columns(table, f"{file}, {relation}")
        for column in columns.values():
            if column.get("data_tests"):
                raise ProjectError(
                    f"{file}, {relation}: tests of sources are not run. Put them on the staging model."
                )
        yield SourceEntry(relation, _text(table.get("description")), columns)


def _columns(raw: dict[str, Any], where: str) -> dict[str, Mapping[str, Any]]:
    columns: dict[str, Mapping[str, Any]] = {}
    for column in _entries(raw.get("columns"), f"{where}, columns"):
        check_keys(column, _COLUMN_KEYS, f"{where}, column {column['name']}")
        name = str(column["name"]).lower()
        check_keys(mapping(column.get("config"), where), {"meta", "tags"}, f"{where}, column {name}, config")
        if name in columns:
            raise ProjectError(f"{where}: the column {name} is described twice.")
        columns[name] = column | {"description": _text(column.get("description"))}
    return columns


def _entries(value: Any, where: str) -> Iterator[dict[str, Any]]:
    if not isinstance(value or [], list):
        raise ProjectError(f"{where}: expected a list (lines that begin with '- '), found {value!r}.")
    for item in value or []:
        entry = mapping(item, where)
        if not entry.get("name"):
            raise ProjectError(f"{where}: every entry needs a name, but this one has none: {item!r}.")
        yield entry


def _text(value: Any) -> str:
    return str(value or "").strip()
