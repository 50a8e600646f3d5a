"""Parse a project from its folder and check its consistency.

    models/<layer>/<name>.sql   one SELECT per file; the layer is the schema
    models/<layer>/<name>.py    function from DataFrames to a DataFrame, for models that SQL cannot express well
    models/**/*.yml             descriptions and tests, in dbt's format
    seeds/<name>.csv            small tables maintained by hand
    seeds/shops/<shop>/<name>.csv   the same table for one shop, in place of the file above
    tests/<name>.sql            SELECT that returns the failing rows
    actions/<name>.sql          SELECT whose rows are calls to carry out; described in actions/*.yml

Dependencies and column lineage are inferred from the SQL; they are never declared.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from dbt_like_sql.runner import lineage, python_models
from dbt_like_sql.runner.actions import ACTIONS, check_key
from dbt_like_sql.runner.data_tests import DOCUMENTED_COLUMNS, DataTest, build_test, severity
from dbt_like_sql.runner.errors import ProjectError, did_you_mean
from dbt_like_sql.runner.files import (
    by_name,
    check_described,
    description_of,
    entry_of,
    model_files,
    name_of,
    names_of,
    read_action,
    read_model,
    read_seed,
    read_source,
)
from dbt_like_sql.runner.project import LAYERS, Action, ColumnInfo, Model, Project, Seed, Source
from dbt_like_sql.runner.properties import Entry, Properties, read_properties
from dbt_like_sql.runner.relation import Origin, Reference, Relation
from dbt_like_sql.runner.shop_seeds import seed_files

Tables = Mapping[str, Model | Seed | Source]
"""Every table that a SELECT may read, by its name in SQL."""

_UNKNOWN = "no model, seed or source is called"


def parse_project(root: Path, shop: str = "") -> Project:
    """Parse a project, with the seeds of a shop or, if `shop` is empty, those of all shops.

    Raises:
        ProjectError: a file of the project has an error; the message names the file and, if known, the line.
    """
    files = seed_files(root, shop)
    properties = read_properties(root)
    sources = {name: read_source(name, properties) for name in properties.sources}
    seeds = [read_seed(path, root, properties) for path in files]
    models = [read_model(path, root, properties) for path in model_files(root)]
    actions = [read_action(path, root, properties) for path in sorted((root / ACTIONS).glob("*.sql"))]
    check_described(properties.models, names_of(models), "model")
    check_described(properties.seeds, names_of(seeds), "seed")
    check_described(properties.actions, names_of(actions), "action")

    by_name([*seeds, *models, *actions])
    nodes = by_name([*seeds, *models])
    tables: Tables = {**sources, **{node.relation: node for node in nodes.values()}}
    queries = {m.name: lineage.parse(m.code, m.path) for m in models if m.language == "sql"}
    lines: dict[str, Mapping[str, int]] = {}
    for model in models:
        nodes[model.name], lines[model.name] = _connected(model, queries.get(model.name), tables)
    tests = {name: _tests(node, entry_of(node, properties), tables) for name, node in nodes.items()}
    nodes = {name: nodes[name] for name in _build_order(nodes, tests, lines)}
    for action in actions:
        queries[action.name] = lineage.parse(action.code, action.path)
        nodes[action.name], _ = _connected(action, queries[action.name], tables)
        tests[action.name] = []
    _add_columns(nodes, queries, sources, tests, properties)
    read = {action.name: nodes.pop(action.name) for action in actions}
    checked = {name: node for name, node in read.items() if isinstance(node, Action)}
    for action in checked.values():
        check_key(action, names_of(action.columns), entry_of(action, properties).where)
    return Project(
        root,
        nodes,
        sources,
        _singular_tests(root, properties, tables, nodes),
        properties.column_descriptions,
        checked,
    )


def _connected(model: Model, query: lineage.Query | None, tables: Tables) -> tuple[Model, Mapping[str, int]]:
    """Resolve the tables that a model reads, and the line of each reference to a model or seed."""
    if query:
        references = lineage.references(query)
    else:
        called = python_models.names(
            [name for name, table in tables.items() if not isinstance(table, Source)],
            [name for name, table in tables.items() if isinstance(table, Source)],
        )
        read_by = python_models.parameters(model.code, model.path)
        for name, line in read_by.items():
            if name not in called:
                hint = did_you_mean(name, called)
                raise ProjectError(f"{model.path}, line {line}: {_UNKNOWN} {name}.{hint}")
        references = tuple(Reference(called[name], line) for name, line in read_by.items())
    nodes: dict[str, int] = {}
    sources: list[str] = []
    for reference, read in _read_tables(model.path, references, tables):
        if isinstance(read, Source):
            sources.append(read.relation)
            continue
        if isinstance(read, Model) and _height(read) > _height(model):
            raise ProjectError(
                f"{model.path}, line {reference.line}: {model.relation} reads {read.relation}, which is "
                f"in a higher layer. A model can only read its own layer or a lower one ({' < '.join(LAYERS)})."
            )
        nodes.setdefault(read.name, reference.line)
    return replace(model, depends_on=tuple(nodes), sources=tuple(dict.fromkeys(sources))), nodes


def _read_tables(
    file: PurePath, references: Iterable[Reference], tables: Tables
) -> list[tuple[Reference, Model | Seed | Source]]:
    found = []
    for reference in references:
        if reference.name not in tables:
            hint = did_you_mean(reference.name, tables)
            raise ProjectError(f"{file}, line {reference.line}: {_UNKNOWN} {reference.name}.{hint}")
        found.append((reference, tables[reference.name]))
    return found


def _tests(node: Model | Seed, entry: Entry, tables: Tables) -> list[DataTest]:
    """Build the generic tests of a node, with names that are unique within the node."""

    def resolve(name: str, where: str) -> tuple[str | None, str]:
        # dbt's notation, `ref('x')` or `source('a', 'b')`, is accepted too.
        call = re.fullmatch(r"\s*(?:\{\{)?\s*(?:ref|source)\((.+)\)\s*(?:\}\})?\s*", name)
        plain = re.sub(r"['\"\s]", "", call[1]).replace(",", ".") if call else name
        for relation, table in tables.items():
            if plain.lower() == relation or (not isinstance(table, Source) and plain.lower() == table.name):
                return (None if isinstance(table, Source) else table.name), relation
        hint = did_you_mean(plain, tables)
        raise ProjectError(f"{where}: {_UNKNOWN} {plain}.{hint}")

    tests: list[DataTest] = []
    taken: Counter[str] = Counter()
    places: list[tuple[str | None, Sequence[Any]]] = [(None, entry.data_tests)]
    places += [(name, column.get("data_tests") or ()) for name, column in entry.columns.items()]
    for column, entries in places:
        where = f"{entry.where}, column {column}" if column else entry.where
        for raw in entries:
            test = build_test(
                raw, node=node.name, relation=node.relation, column=column, where=where, resolve=resolve
            )
            taken[test.name] += 1
            count = taken[test.name]
            tests.append(replace(test, name=f"{test.name}_{count}") if count > 1 else test)
    if isinstance(node, Model):
        tests.append(
            DataTest(
                DOCUMENTED_COLUMNS,
                node.name,
                f"describe {node.relation}",
                severity="warn",
                description="Every documented column exists. In marts and reports, every column is documented.",
                where=str(node.path),
            )
        )
    return tests


def _singular_tests(
    root: Path, properties: Properties, tables: Tables, nodes: Mapping[str, Model | Seed]
) -> tuple[DataTest, ...]:
    """Read the tests written as SELECTs. Each belongs to the node it reads that is built last."""
    order = list(nodes)
    tests = []
    for path in sorted((root / "tests").glob("*.sql")):
        name, file = name_of(path, root), path.relative_to(root)
        entry = properties.data_tests.get(name, Entry())
        sql = path.read_text(encoding="utf-8")
        read = {
            t.name
            for _, t in _read_tables(file, lineage.references(lineage.parse(sql, file)), tables)
            if not isinstance(t, Source)
        }
        if not read:
            raise ProjectError(
                f"{file} reads no model or seed, so it tests nothing. Read the table it is meant to test."
            )
        *others, last = sorted(read, key=order.index)
        tests.append(
            DataTest(
                name,
                last,
                sql,
                severity=severity(entry.config, entry.where),
                description=entry.description,
                depends_on=tuple(others),
                where=str(file),
            )
        )
    check_described(properties.data_tests, names_of(tests), "singular test")
    return tuple(tests)


def _build_order(
    nodes: Mapping[str, Model | Seed],
    tests: Mapping[str, Sequence[DataTest]],
    lines: Mapping[str, Mapping[str, int]],
) -> list[str]:
    """Sort the nodes so that each comes after the nodes that it and its tests read.

    The order is deterministic: it depends only on dependencies, layers and names.

    Raises:
        ProjectError: the nodes form a cycle.
    """
    order: list[str] = []
    path: list[str] = []

    def reads(reader: str, read: str) -> str:
        line = lines.get(reader, {}).get(read)
        if line:
            return (
                f"{nodes[reader].relation} reads {nodes[read].relation} ({nodes[reader].path}, line {line})"
            )
        test = next(test for test in tests[reader] if read in test.depends_on)
        return f"{nodes[reader].relation} is tested against {nodes[read].relation} ({test.where})"

    def visit(name: str) -> None:
        if name in order:
            return
        if name in path:
            cycle = [*path[path.index(name) :], name]
            steps = [reads(reader, read) for reader, read in itertools.pairwise(cycle)]
            raise ProjectError(
                "These models form a cycle. Remove one of the references:\n  " + "\n  ".join(steps) + "."
            )
        path.append(name)
        for read in sorted({*nodes[name].depends_on, *(n for t in tests[name] for n in t.depends_on)}):
            visit(read)
        path.pop()
        order.append(name)

    for name in sorted(nodes, key=lambda n: (_height(nodes[n]), n)):
        visit(name)
    return order


def _height(node: Model | Seed) -> int:
    if isinstance(node, Action):
        return len(LAYERS)
    return LAYERS.index(node.schema) if isinstance(node, Model) else -1


def _add_columns(
    nodes: dict[str, Model | Seed],
    queries: Mapping[str, lineage.Query],
    sources: Mapping[str, Source],
    tests: Mapping[str, Sequence[DataTest]],
    properties: Properties,
) -> None:
    """Add the columns to each node: inferred from the SQL, described in the property files."""
    tables = {
        s.relation: lineage.table(s.relation, names_of(s.columns), is_open=True) for s in sources.values()
    }
    outputs: dict[str, Relation] = {}

    def trace(origin: Origin) -> set[Origin]:
        output = outputs.get(origin.relation)
        if output is None:
            return {origin}
        return {ground for step in output.origins(origin.column) for ground in trace(step)}

    for name, node in nodes.items():
        entry = entry_of(node, properties)
        if name in queries:
            output = lineage.output_columns(queries[name], tables)
            outputs[node.relation] = output
            is_open = output.is_open
        elif isinstance(node, Model):
            output, is_open = Relation({}), True
        else:
            output, is_open = Relation({c.name: frozenset() for c in node.columns}), False
        columns = []
        for column in dict.fromkeys([*output.columns, *entry.columns]):
            if column not in output.columns and not is_open:
                hint = did_you_mean(column, output.columns)
                raise ProjectError(f"{entry.where}: {node.relation} has no column {column}.{hint}")
            inputs = output.origins(column)
            columns.append(
                ColumnInfo(
                    column,
                    description_of(column, entry.columns, properties),
                    entry.columns.get(column, {}).get("data_type"),
                    data_tests=tuple(t for t in tests[name] if t.column == column),
                    inputs=tuple(sorted(inputs)),
                    origins=tuple(sorted({ground for step in inputs for ground in trace(step)})),
                )
            )
        of_table = tuple(t for t in tests[name] if t.column is None)
        node = replace(node, columns=tuple(columns), data_tests=of_table)
        if isinstance(node, Model):
            node = replace(node, is_open=is_open, conditions=tuple(sorted(output.conditions)))
        nodes[name] = node
        tables[node.relation] = lineage.table(node.relation, names_of(columns), is_open=is_open)
