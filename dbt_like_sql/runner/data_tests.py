"""Generic data tests with dbt's names and arguments. Each becomes a SELECT that returns the failing rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dbt_like_sql.runner.errors import ProjectError, did_you_mean
from dbt_like_sql.runner.sql import literal, quoted

Severity = Literal["error", "warn"]
Resolve = Callable[[str, str], tuple[str | None, str]]
"""Resolve a reference: (name, place for errors) -> (name of the model or seed, or None for a source; relation)."""


DOCUMENTED_COLUMNS = "documented_columns"
"""Name of the test that every model has. It fails if a documented column does not exist, and warns if a
column of the marts or reports has no description."""


@dataclass(frozen=True)
class DataTest:
    """One test of one model or seed. `sql` returns the failing rows."""

    name: str
    node: str
    sql: str
    kind: str = ""
    """Name of the generic test; empty for a singular test, which has its own SQL."""
    column: str | None = None
    severity: Severity = "error"
    description: str = ""
    depends_on: tuple[str, ...] = ()
    """Names of the other models and seeds that it reads."""
    where: str = ""
    """File, model and column where the test is defined."""
    passes_if: str = ""
    """Aggregate over the rows of its table that is true only if none fails, so that tests share a scan; empty if the
    test reads other tables or needs `sql`. False proves nothing."""


@dataclass(frozen=True)
class _Call:
    """Generic test as written in a property file."""

    relation: str
    """FROM item: the table, or a subquery with the rows that `where` keeps."""
    column: str
    arguments: Mapping[str, Any]
    other: str
    """Relation that the argument `to` names."""


def not_null(call: _Call) -> str:
    """Fail rows in which the column is null."""
    return f"{quoted(call.column)} is null"


def unique(call: _Call) -> str:
    """Find values that occur more than once in the column; nulls are ignored."""
    return _repeated(call.relation, [call.column], where=f"where {quoted(call.column)} is not null")


def accepted_values(call: _Call) -> str:
    """Fail values that are not in the list; nulls pass, as in dbt."""
    quote = call.arguments.get("quote", True)
    values = ", ".join(_value(v) if quote else str(v) for v in _list(call.arguments["values"]))
    return f"{quoted(call.column)} not in ({values})"


def relationships(call: _Call) -> str:
    """Find values without a match in a column of another table; nulls pass, as in dbt."""
    field, column = quoted(call.arguments["field"]), quoted(call.column)
    return (
        f"select child.* from (select * from {call.relation}) as child where child.{column} is not null "
        f"and not exists (select 1 from {call.other} as parent where parent.{field} = child.{column})"
    )


def unique_combination_of_columns(call: _Call) -> str:
    """Find combinations of values that occur more than once."""
    return _repeated(call.relation, _list(call.arguments["combination_of_columns"]))


def expression_is_true(call: _Call) -> str:
    """Fail rows for which the expression is false; null passes, as in dbt."""
    return f"not ({_expression(call)})"


def _expression(call: _Call) -> str:
    return f"{quoted(call.column) if call.column else ''} {call.arguments['expression']}".strip()


def _no_value_twice(call: _Call) -> str:
    column = quoted(call.column)
    return f"count({column}) = count(distinct hash({column})) filter (where {column} is not null)"


def _no_combination_twice(call: _Call) -> str:
    columns = ", ".join(map(quoted, _list(call.arguments["combination_of_columns"])))
    return f"count(*) = count(distinct hash({columns}))"


ROW_TESTS = (not_null, accepted_values, expression_is_true)
"""Tests that return the condition of a failing row; the others return the SELECT of all failing rows."""

HASHED: Mapping[str, Callable[[_Call], str]] = {
    "unique": _no_value_twice,
    "unique_combination_of_columns": _no_combination_twice,
}
"""Tests with a `DataTest.passes_if` that counts hashes, in half the time of grouping by the columns. Equal rows have
equal hashes, so rows whose hashes all differ are different."""

# name -> (function that builds the SQL, required arguments, optional arguments, whether it needs a column)
GENERIC_TESTS: dict[str, tuple[Callable[[_Call], str], set[str], set[str], bool]] = {
    "not_null": (not_null, set(), set(), True),
    "unique": (unique, set(), set(), True),
    "accepted_values": (accepted_values, {"values"}, {"quote"}, True),
    "relationships": (relationships, {"to", "field"}, set(), True),
    "unique_combination_of_columns": (
        unique_combination_of_columns,
        {"combination_of_columns"},
        set(),
        False,
    ),
    "expression_is_true": (expression_is_true, {"expression"}, set(), False),
}

# Default descriptions for the documentation.
_SENTENCES: dict[str, Callable[[_Call], str]] = {
    "not_null": lambda call: f"{call.column} is never null.",
    "unique": lambda call: f"No two rows have the same {call.column}.",
    "accepted_values": lambda call: (
        f"{call.column} is one of {', '.join(map(str, _list(call.arguments['values'])))}, or null."
    ),
    "relationships": lambda call: (
        f"Every {call.column} is a {call.arguments['field']} of {call.other}, or null."
    ),
    "unique_combination_of_columns": lambda call: (
        f"No two rows have the same {', '.join(map(str, _list(call.arguments['combination_of_columns'])))} together."
    ),
    "expression_is_true": lambda call: f"In every row: {_expression(call)}.",
}

_OWN_KEYS = {"name", "description", "config", "arguments", "severity", "where"}


def build_test(
    entry: Any, *, node: str, relation: str, column: str | None, where: str, resolve: Resolve
) -> DataTest:
    """Build a test from its entry in a property file: `unique`, or `accepted_values: {values: [...]}`.

    `where` is the file, model and column of the entry, for error messages.

    Raises:
        ProjectError: the test or one of its arguments is unknown, missing or misplaced.
    """
    kind, given = _named(entry, where)
    if kind not in GENERIC_TESTS:
        raise ProjectError(f"{where}: there is no test called {kind}.{did_you_mean(kind, GENERIC_TESTS)}")
    build, needed, optional, of_a_column = GENERIC_TESTS[kind]
    if of_a_column and column is None:
        raise ProjectError(f"{where}: the test {kind} needs a column. Move it to one of the model's columns.")
    arguments = {k: v for k, v in given.items() if k not in _OWN_KEYS} | mapping(
        given.get("arguments"), where
    )
    for missing in sorted(needed - arguments.keys()):
        raise ProjectError(f"{where}: the test {kind} needs the argument '{missing}'.")
    for unknown in sorted(arguments.keys() - needed - optional):
        hint = did_you_mean(unknown, needed | optional | _OWN_KEYS)
        raise ProjectError(f"{where}: the test {kind} has no argument '{unknown}'.{hint}")

    config = {k: given[k] for k in ("severity", "where") if k in given} | mapping(given.get("config"), where)
    check_keys(config, {"severity", "where", "tags", "meta"}, f"{where}, config of {kind}")
    rows = f"(select * from {relation} where {config['where']}) as {node}" if "where" in config else relation
    other, other_relation = resolve(str(arguments["to"]), where) if "to" in arguments else (None, "")
    call = _Call(rows, column or "", arguments, other_relation)
    looks_at_rows = build in ROW_TESTS
    only = f" Only for rows where {config['where']}." if "where" in config else ""
    return DataTest(
        name=identifier(str(given.get("name") or _default_name(kind, node, column, arguments))),
        node=node,
        sql=f"select * from {rows} where {build(call)}" if looks_at_rows else build(call),
        kind=kind,
        column=column,
        severity=severity(config, where),
        description=str(given.get("description") or "").strip() or _SENTENCES[kind](call) + only,
        depends_on=(other,) if other and other != node else (),
        where=where,
        passes_if="" if "where" in config else _passes_if(kind, call),
    )


def _passes_if(kind: str, call: _Call) -> str:
    build = GENERIC_TESTS[kind][0]
    if build in ROW_TESTS:
        return f"count(*) filter (where {build(call)}) = 0"
    return HASHED[kind](call) if kind in HASHED else ""


def severity(config: Mapping[str, Any], where: str) -> Severity:
    """Read `severity`: 'error' (the default) blocks the build, 'warn' only warns."""
    value = str(config.get("severity", "error")).lower()
    if value not in ("error", "warn"):
        raise ProjectError(f"{where}: severity is '{value}', but it must be 'error' or 'warn'.")
    return "warn" if value == "warn" else "error"


def identifier(name: str) -> str:
    """Replace every other character than letters, digits and underscores by an underscore."""
    return re.sub(r"[^0-9A-Za-z_]+", "_", name).strip("_")


def mapping(value: Any, where: str) -> dict[str, Any]:
    """Return a YAML mapping; {} for None.

    Raises:
        ProjectError: the value is not a mapping.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ProjectError(f"{where}: expected a mapping (key: value), found {value!r}.")
    return {str(k): v for k, v in value.items()}


def check_keys(entry: Mapping[str, Any], allowed: set[str], where: str) -> None:
    """Raise a ProjectError for an unknown key, which would otherwise be ignored silently."""
    for key in sorted(entry.keys() - allowed):
        raise ProjectError(f"{where}: unknown key '{key}'.{did_you_mean(key, allowed)}")


def _named(entry: Any, where: str) -> tuple[str, dict[str, Any]]:
    if isinstance(entry, str):
        name, given = entry, {}
    elif isinstance(entry, dict) and len(entry) == 1:
        ((name, value),) = entry.items()
        given = mapping(value, f"{where}, test {name}")
    else:
        raise ProjectError(
            f"{where}: expected the name of a test, or a name with its arguments; found {entry!r}."
        )
    return str(name).removeprefix("dbt_utils."), given


def _default_name(kind: str, node: str, column: str | None, arguments: Mapping[str, Any]) -> str:
    parts = [kind, node, *([column] if column else [])]
    if kind == "unique_combination_of_columns":
        parts.append("__".join(map(str, _list(arguments["combination_of_columns"]))))
    elif kind == "expression_is_true":
        parts.append(identifier(str(arguments["expression"]))[:50])
    return "_".join(parts)


def _repeated(relation: str, columns: Sequence[str], where: str = "") -> str:
    names = ", ".join(quoted(c) for c in columns)
    rows = " ".join(filter(None, [relation, where]))
    return f"select {names}, count(*) as occurrences from {rows} group by {names} having count(*) > 1"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool | int | float) else literal(str(value))
