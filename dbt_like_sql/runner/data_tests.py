"""The generic data tests: dbt's names and arguments, each a SELECT that returns the failing rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dbt_like_sql.runner.errors import ProjectError, did_you_mean
from dbt_like_sql.runner.sql import literal, quoted

Severity = Literal["error", "warn"]
Resolve = Callable[[str, str], tuple[str | None, str]]
"""(name, where it is written) -> (the model or seed it is, if it is one; its relation)."""


DOCUMENTED_COLUMNS = "documented_columns"
"""The test that every model has: what is documented exists (else it fails), and in the layers that
people read, what exists is documented (else it warns)."""


@dataclass(frozen=True)
class DataTest:
    """One test of one model or seed. `sql` returns the rows that fail."""

    name: str
    node: str
    sql: str
    kind: str = ""
    """The generic test that it is; empty for one with SQL of its own."""
    column: str | None = None
    severity: Severity = "error"
    description: str = ""
    depends_on: tuple[str, ...] = ()
    """The other models and seeds that it reads."""
    where: str = ""
    """The file it is written in, with the model and column it is written at."""


@dataclass(frozen=True)
class _Call:
    """A test as written in a property file."""

    relation: str
    """What to select from: the table, or its rows that `where` keeps."""
    column: str
    arguments: Mapping[str, Any]
    other: str
    """The relation that `to` names."""


def not_null(call: _Call) -> str:
    """Hold a column free of nulls."""
    return f"select * from {call.relation} where {quoted(call.column)} is null"


def unique(call: _Call) -> str:
    """Hold the values of a column unique; nulls do not count."""
    return _repeated(call.relation, [call.column], where=f"where {quoted(call.column)} is not null")


def accepted_values(call: _Call) -> str:
    """Hold a column to a list of values; nulls pass, as in dbt."""
    quote = call.arguments.get("quote", True)
    values = ", ".join(_value(v) if quote else str(v) for v in _list(call.arguments["values"]))
    return f"select * from {call.relation} where {quoted(call.column)} not in ({values})"


def relationships(call: _Call) -> str:
    """Hold the values of a column to those of a column elsewhere; nulls pass, as in dbt."""
    field, column = quoted(call.arguments["field"]), quoted(call.column)
    return (
        f"select child.* from (select * from {call.relation}) as child where child.{column} is not null "
        f"and not exists (select 1 from {call.other} as parent where parent.{field} = child.{column})"
    )


def unique_combination_of_columns(call: _Call) -> str:
    """Hold several columns unique together."""
    return _repeated(call.relation, _list(call.arguments["combination_of_columns"]))


def expression_is_true(call: _Call) -> str:
    """Hold an expression true for every row; where it is null, the row passes, as in dbt."""
    return f"select * from {call.relation} where not ({_expression(call)})"


def _expression(call: _Call) -> str:
    return f"{quoted(call.column) if call.column else ''} {call.arguments['expression']}".strip()


# name -> (what builds it, the arguments it needs, the arguments it may have, whether it needs a column)
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

# What a test holds, in words for whoever reads the documentation.
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
    """Make a test out of its entry in a property file: `unique`, or `accepted_values: {values: [...]}`.

    `where` says in which file and of which model or column the entry is, for the errors.
    """
    kind, given = _named(entry, where)
    if kind not in GENERIC_TESTS:
        raise ProjectError(f"{where}: there is no test called {kind}.{did_you_mean(kind, GENERIC_TESTS)}")
    build, needed, optional, of_a_column = GENERIC_TESTS[kind]
    if of_a_column and column is None:
        raise ProjectError(f"{where}: the test {kind} belongs to a column, not to the whole model.")
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
    only = f" Only rows where {config['where']}." if "where" in config else ""
    return DataTest(
        name=identifier(str(given.get("name") or _default_name(kind, node, column, arguments))),
        node=node,
        sql=build(call),
        kind=kind,
        column=column,
        severity=severity(config, where),
        description=str(given.get("description") or "").strip() or _SENTENCES[kind](call) + only,
        depends_on=(other,) if other and other != node else (),
        where=where,
    )


def is_named_by_default(test: DataTest) -> bool:
    """Whether a test of a column has the name that dbt would give it, not one of its own."""
    return bool(test.column) and test.name == identifier("_".join([test.kind, test.node, str(test.column)]))


def severity(config: Mapping[str, Any], where: str) -> Severity:
    """Read `severity`: error (the default) blocks, warn only tells."""
    value = str(config.get("severity", "error")).lower()
    if value not in ("error", "warn"):
        raise ProjectError(f"{where}: severity is '{value}', but it must be 'error' or 'warn'.")
    return "warn" if value == "warn" else "error"


def identifier(name: str) -> str:
    """Make a name of letters, digits and underscores only."""
    return re.sub(r"[^0-9A-Za-z_]+", "_", name).strip("_")


def mapping(value: Any, where: str) -> dict[str, Any]:
    """Return a YAML mapping, {} for nothing; anything else is a ProjectError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ProjectError(f"{where}: expected a mapping (key: value), found {value!r}.")
    return {str(k): v for k, v in value.items()}


def check_keys(entry: Mapping[str, Any], allowed: set[str], where: str) -> None:
    """Refuse a misspelt key, which would otherwise be ignored in silence."""
    for key in sorted(entry.keys() - allowed):
        raise ProjectError(f"{where}: the key '{key}' is not known here.{did_you_mean(key, allowed)}")


def _named(entry: Any, where: str) -> tuple[str, dict[str, Any]]:
    if isinstance(entry, str):
        name, given = entry, {}
    elif isinstance(entry, dict) and len(entry) == 1:
        ((name, value),) = entry.items()
        given = mapping(value, f"{where}, test {name}")
    else:
        raise ProjectError(f"{where}: a test is a name, or a name with arguments under it; found {entry!r}.")
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
