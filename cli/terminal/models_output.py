"""Output of `rivo models`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

import duckdb
from rich import box
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from cli.terminal.tables import counted, first_sentence, plain, print_result, terminal
from dbt_like_sql.runner import ColumnInfo, Model, Project, Seed, Source, TestResult, last_results
from dbt_like_sql.runner.impact import Impact, LineageStep
from dbt_like_sql.runner.last_results import LastResults
from dbt_like_sql.runner.sql import describe, tables

SHOWN_ROWS = 5
_COLOURS = {"pass": "green", "warn": "yellow", "fail": "red", "error": "red"}


def print_list(
    project: Project, names: Collection[str], connection: duckdb.DuckDBPyConnection | None, note: str
) -> None:
    """Print one line per table: layer, name, rows, tests, first sentence of its description."""
    last = last_results(connection) if connection else LastResults({}, {})
    table = _table("layer", "name", ">rows", ">tests", "description")
    for name in names:
        node = project.node(name)
        built = last.builds.get(node.relation, {})
        rows = built.get("row_count")
        of_view = "view" if node.materialized == "view" and built else ""
        table.add_row(
            node.schema,
            node.name,
            of_view if rows is None else f"{rows:,}",
            str(len(project.tests_of(name))),
            Text(first_sentence(node.description)),
        )
    console = terminal()
    console.print(table)
    console.print(f"{len(names)} of {len(project.nodes)}. {note}.", style="dim", highlight=False)


def print_tests(project: Project, results: Iterable[TestResult]) -> bool:
    """Print the tests that did not pass, each with its SQL, and the totals. Return whether no blocking test failed."""
    console = terminal()
    console.soft_wrap = True
    counts: Counter[str] = Counter()
    blocked = False
    for result in results:
        counts[result.status] += 1
        blocked = blocked or result.blocks
        if result.status != "pass":
            colour = _COLOURS[result.status]
            relation = project.node(result.node).relation
            console.print(
                f"[{colour}]{result.status:<5}[/{colour}] {relation}: {plain(result.name)}: "
                f"{plain(result.message)}",
                highlight=False,
            )
            if result.failures and result.name != "documented_columns":
                console.print(
                    f"      {plain(' '.join(_without_comments(result.sql).split()))}",
                    style="dim",
                    highlight=False,
                )
    failed = counts["fail"] + counts["error"]
    console.print(
        f"{counts['pass']} passed, {counted(counts['warn'], 'warning')}, {failed} failed", highlight=False
    )
    return not blocked


def print_table(
    project: Project,
    table: Model | Seed | Source,
    connection: duckdb.DuckDBPyConnection | None,
    note: str,
) -> None:
    """Print the description, columns, tests, code and a few rows of one table."""
    console = terminal()
    exists = connection is not None and tuple(table.relation.split(".")) in tables(connection)
    types = dict(describe(connection, table.relation)) if connection and exists else {}
    types = {name.lower(): kind for name, kind in types.items()}
    last = last_results(connection) if connection else LastResults({}, {})
    console.print(f"[bold]{table.relation}[/bold]", highlight=False)
    console.print(table.description.strip() or "(no description)", markup=False, highlight=False)
    if not isinstance(table, Source):
        for title, text in _facts(project, table):
            console.print(f"[bold]{title:<12}[/bold] {plain(text)}", highlight=False)
    console.print()
    console.print(_columns(project, table, types))
    if not isinstance(table, Source):
        _print_tests_of(console, project, table, last)
        if isinstance(table, Model):
            console.print(
                Syntax(table.code.strip(), table.language, background_color="default", word_wrap=True)
            )
            console.print()
    if connection and exists:
        cursor = connection.execute(f"select * from {table.relation} limit {SHOWN_ROWS}")
        print_result(console, [c[0] for c in cursor.description or []], cursor.fetchall())
        [[count]] = connection.execute(f"select count(*) from {table.relation}").fetchall()
        console.print(f"{min(count, SHOWN_ROWS)} of {count:,} rows. {note}.", style="dim", highlight=False)
    elif connection:
        console.print(
            f"{table.relation} has not been built yet: rivo models build --select +{table.relation}",
            style="dim",
            highlight=False,
        )
    else:
        console.print(f"{note}.", style="dim", highlight=False)


def _facts(project: Project, node: Model | Seed) -> list[tuple[str, str]]:
    grain = node.texts("grain")
    reads = [*node.sources, *(project.node(n).relation for n in node.depends_on)]
    readers = [n.relation for n in project.nodes.values() if node.name in n.depends_on]
    facts = [
        ("grain", "one row per " + " × ".join(grain) if grain else ""),
        ("answers", "\n             ".join(node.texts("questions"))),
        ("also called", ", ".join(node.texts("also_called"))),
        ("example", "\n             ".join(node.texts("example"))),
        ("reads", ", ".join(reads)),
        ("read by", ", ".join(readers)),
        ("tags", ", ".join(node.tags)),
        ("file", str(node.path)),
    ]
    return [fact for fact in facts if fact[1]]


def _columns(project: Project, table: Model | Seed | Source, types: dict[str, str]) -> Table:
    shown = _table("column", "type", "description")
    known = {column.name for column in table.columns}
    columns = [*table.columns, *(ColumnInfo(name) for name in types if name not in known)]
    for column in columns:
        text = project.described(column) or "(no description)"
        shown.add_row(column.name, (types.get(column.name) or column.data_type or "").lower(), Text(text))
    return shown


def _print_tests_of(console: Console, project: Project, node: Model | Seed, last: LastResults) -> None:
    results = last.tests.get(node.relation, {})
    table = _table("test", "severity", "last result")
    for test in project.tests_of(node.name):
        result = results.get(test.name)
        outcome = Text(f"{result['status']}: {result['message']}" if result else "not run yet")
        outcome.stylize(_COLOURS.get(result["status"], "") if result else "dim")
        table.add_row(test.name, test.severity, outcome)
    console.print(table)


def print_lineage(step: LineageStep) -> None:
    """Print the path back to the raw columns as a tree."""
    tree = Tree(Text(str(step.origin), style="bold"))
    _grow(tree, step, set())
    console = terminal()
    console.print(tree)


def _grow(tree: Tree, step: LineageStep, seen: set[str]) -> None:
    if step.note:
        tree = tree.add(Text(step.note, style="dim"))
    for inner in step.steps:
        name = str(inner.origin)
        # Each branch is drawn only once.
        if name in seen and inner.steps:
            tree.add(Text.assemble(name, (" (as above)", "dim")))
        else:
            seen.add(name)
            _grow(tree.add(Text(name)), inner, seen)


def print_impact(name: str, found: Impact) -> None:
    """Print the columns derived from a column or table, by table, then the tables whose rows depend on it."""
    console = terminal()
    if not found.columns and not found.tables:
        console.print(f"Nothing is built from {name}.", highlight=False)
        return
    by_table: dict[str, list[str]] = {}
    for column in found.columns:
        by_table.setdefault(column.relation, []).append(column.column)
    if by_table:
        shown = _table("table", "derived columns")
        for table, columns in by_table.items():
            shown.add_row(table, ", ".join(columns))
        console.print(shown)
    if found.tables:
        console.print("\nTables without a derived column whose rows depend on it, directly or indirectly:")
        console.print("  " + "\n  ".join(found.tables), highlight=False)
    total = f"{counted(len(found.columns), 'column')} in {counted(len(by_table), 'table')}"
    total += f", and {counted(len(found.tables), 'more table')}" if found.tables else ""
    console.print(f"\n{total}.", style="dim", highlight=False)


def _without_comments(sql: str) -> str:
    return "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--"))


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in names:
        table.add_column(
            name.lstrip(">"), justify="right" if name.startswith(">") else "left", overflow="fold"
        )
    return table
