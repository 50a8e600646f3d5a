"""Read the files of a project into nodes that are not connected yet."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from dbt_like_sql.runner.actions import ACTIONS, check_action
from dbt_like_sql.runner.errors import ProjectError, did_you_mean
from dbt_like_sql.runner.project import (
    LAYERS,
    MATERIALIZED,
    SEEDS,
    Action,
    ColumnInfo,
    Materialization,
    Model,
    Seed,
    Source,
)
from dbt_like_sql.runner.properties import Entry, Properties, made_from
from dbt_like_sql.runner.relation import Origin
from dbt_like_sql.runner.shop_seeds import check_same_columns

_LANGUAGES: Mapping[str, Literal["sql", "python"]] = {".sql": "sql", ".py": "python"}


def read_source(name: str, properties: Properties) -> Source:
    """Return a source table as the property files describe it."""
    entry = properties.sources[name]
    columns = tuple(
        ColumnInfo(
            c,
            description_of(c, entry.columns, properties),
            raw.get("data_type"),
            inputs=tuple(Origin(*of.rsplit(".", 1)) for of in made_from(raw)),
        )
        for c, raw in entry.columns.items()
    )
    return Source(name, entry.description, columns)


def read_seed(path: Path, root: Path, properties: Properties) -> Seed:
    """Return the seed of a CSV file.

    Raises:
        ProjectError: `column_types` names a column that the file does not have, or the file of a shop has other columns
            than that of all shops.
    """
    entry = properties.seeds.get(name_of(path, root), Entry())
    header = _header(path)
    of_all_shops = root / SEEDS / path.name
    if path != of_all_shops:
        check_same_columns(path, root, header, _header(of_all_shops))
    types = {str(c).lower(): str(t) for c, t in (entry.config.get("column_types") or {}).items()}
    for column in types:
        if column not in header:
            hint = did_you_mean(column, header)
            raise ProjectError(
                f"{entry.where}: column_types names {column}, but the CSV has no such column.{hint}"
            )
    return Seed(
        "seed",
        name_of(path, root),
        SEEDS,
        path.relative_to(root),
        description=entry.description,
        meta=entry.config.get("meta") or {},
        tags=_tags(entry),
        columns=tuple(ColumnInfo(name) for name in header),
        column_types=types,
    )


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [name.strip().lower() for name in next(csv.reader(file), [])]


def model_files(root: Path) -> list[Path]:
    """Return the files of all models, sorted."""
    return sorted(path for path in (root / "models").rglob("*") if path.suffix in _LANGUAGES)


def read_model(path: Path, root: Path, properties: Properties) -> Model:
    """Return the model of a file.

    Raises:
        ProjectError: the file is not in the folder of a layer.
    """
    file = path.relative_to(root)
    layer = file.parts[1]
    if layer not in LAYERS or len(file.parts) < 3:
        raise ProjectError(f"{file} is not in a layer. Move it to models/ and one of: {', '.join(LAYERS)}.")
    name = name_of(path, root)
    entry = properties.models.get(name, Entry())
    language = _LANGUAGES[path.suffix]
    return Model(
        "model",
        name,
        layer,
        file,
        description=entry.description,
        meta=entry.config.get("meta") or {},
        tags=_tags(entry),
        code=path.read_text(encoding="utf-8"),
        language=language,
        materialized=_materialized(entry, layer, language),
    )


def _materialized(entry: Entry, layer: str, language: str) -> Materialization:
    """Read `config.materialized`; by default, what is usual in the layer."""
    usual: Materialization = MATERIALIZED.get(layer, "table") if language == "sql" else "table"
    found = entry.config.get("materialized", usual)
    if found not in get_args(Materialization):
        raise ProjectError(f"{entry.where}: materialized must be table or view, not {found!r}.")
    if found == "view" and language == "python":
        raise ProjectError(f"{entry.where}: a Python model cannot be a view. Remove materialized.")
    return found


def read_action(path: Path, root: Path, properties: Properties) -> Action:
    """Return the action of a file.

    Raises:
        ProjectError: no property file describes it, or its properties are not valid.
    """
    name, file = name_of(path, root), path.relative_to(root)
    entry = properties.actions.get(name, Entry())
    return Action(
        "action",
        name,
        ACTIONS,
        file,
        description=entry.description,
        meta=entry.config.get("meta") or {},
        tags=_tags(entry),
        code=path.read_text(encoding="utf-8"),
        **check_action(str(file), entry),
    )


def by_name(nodes: Iterable[Model | Seed]) -> dict[str, Model | Seed]:
    """Return nodes by name.

    Raises:
        ProjectError: two have the same name.
    """
    named: dict[str, Model | Seed] = {}
    for node in nodes:
        if node.name in named:
            raise ProjectError(
                f"{named[node.name].path} and {node.path} have the same name: {node.name}. Rename one of them."
            )
        named[node.name] = node
    return named


def check_described(entries: Mapping[str, Entry], names: Sequence[str], kind: str) -> None:
    """Check that everything that the property files describe exists.

    Raises:
        ProjectError: something does not.
    """
    for name, entry in entries.items():
        if name not in names:
            raise ProjectError(f"{entry.where}: there is no {kind} {name}.{did_you_mean(name, names)}")


def description_of(column: str, described: Mapping[str, Mapping[str, Any]], properties: Properties) -> str:
    """Return the description of a column: its own, or the one shared by all columns of its name."""
    own = described.get(column, {}).get("description")
    return str(own or properties.column_descriptions.get(column, ""))


def entry_of(node: Model | Seed, properties: Properties) -> Entry:
    """Return the properties of a node; empty ones if no file describes it."""
    entries = {"model": properties.models, "seed": properties.seeds, "action": properties.actions}[node.kind]
    return entries.get(node.name, Entry())


def _tags(entry: Entry) -> tuple[str, ...]:
    tags = entry.config.get("tags") or []
    return tuple(tags) if isinstance(tags, list) else (str(tags),)


def name_of(path: Path, root: Path) -> str:
    """Return the name that a file gives its node.

    Raises:
        ProjectError: it cannot be a name in SQL.
    """
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", path.stem):
        raise ProjectError(
            f"{path.relative_to(root)}: the file name becomes a name in SQL. Use only lower-case letters, "
            "digits and underscores, and begin with a letter or an underscore."
        )
    return path.stem


def names_of(things: Iterable[Any]) -> list[str]:
    """Return the names of things that have one."""
    return [thing.name for thing in things]
