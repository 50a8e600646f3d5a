"""Rules of the project that no tool checks."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from pipelines.settings import PROJECT
from pipelines.warehouse.sources_yml import sources_yml

PACKAGES = ("pipelines", "runs", "assets", "cli", "dbt_like_sql")
WAREHOUSE = PROJECT / "pipelines" / "warehouse"

WAREHOUSES = frozenset({"warehouse", "base", "recent_events", "published", "build", "work"})
"""Names of variables and attributes that hold a `Warehouse` or a `Build`."""
ROWID = re.compile(r"\browid\b", re.IGNORECASE)

CALL_READ = "call Warehouse.read() or Warehouse.build() in place of duckdb.connect()"
CALL_METHODS = (
    "use exists, size_bytes, delete(), read(), build(), base or recent_events of the Warehouse; its path is only for "
    "messages: short(warehouse.path) or str(warehouse)"
)
ORDER_BY_COLUMN = (
    "rowid is not the same in another kind of warehouse: order by a column, such as log_position"
)


def test_sources_yml_matches_the_raw_tables() -> None:
    """Run `make sources` to write the file again."""
    path = PROJECT / "dbt_like_sql" / "models" / "staging" / "_rivo_raw__sources.yml"

    assert path.read_text() == sources_yml()


def test_sqlglot_cap_is_still_needed() -> None:
    """sqlglot 30.22 breaks dlt 1.31's dataset API. After an update of dlt, try without the cap in pyproject.toml."""
    assert version("dlt").startswith("1.31."), "dlt was updated: does it still need sqlglot<30.22?"


def _opens_a_file(call: ast.Call) -> bool:
    """Return whether a call is `duckdb.connect` with a database other than the one in memory."""
    if ast.unparse(call.func) != "duckdb.connect":
        return False
    databases = [*call.args[:1], *(each.value for each in call.keywords if each.arg == "database")]
    return any(not (isinstance(each, ast.Constant) and each.value == ":memory:") for each in databases)


def _is_path_of_warehouse(node: ast.AST) -> bool:
    if not isinstance(node, ast.Attribute) or node.attr != "path":
        return False
    owner = node.value
    if isinstance(owner, ast.Call):
        return ast.unparse(owner.func).split(".")[0] == "Warehouse"
    name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    return name in WAREHOUSES


def file_uses(code: str) -> Iterator[tuple[int, str]]:
    """Yield the line of each place that treats the warehouse as a file, and what to do instead."""
    tree = ast.parse(code)
    in_messages = {
        id(argument)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "short"
        for argument in node.args
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _opens_a_file(node):
            yield node.lineno, CALL_READ
        if _is_path_of_warehouse(node) and id(node) not in in_messages:
            yield node.lineno, CALL_METHODS  # type: ignore[attr-defined]


def _files(suffix: str) -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((PROJECT / package).rglob(f"*{suffix}")):
            if not path.is_relative_to(WAREHOUSE):
                yield path


def test_only_the_warehouse_package_treats_the_warehouse_as_a_file() -> None:
    found = [
        f"{path.relative_to(PROJECT)}:{line}: {advice}"
        for path in _files(".py")
        for line, advice in file_uses(path.read_text())
    ]

    assert not found, "\n".join(found)


def test_only_the_warehouse_package_uses_rowid() -> None:
    found = [
        f"{path.relative_to(PROJECT)}:{number}: {ORDER_BY_COLUMN}"
        for suffix in (".py", ".sql", ".yml")
        for path in _files(suffix)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if ROWID.search(line)
    ]

    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "code",
    [
        "duckdb.connect(str(path), read_only=True)",
        "duckdb.connect(database='rivo.duckdb')",
        "shop.warehouse.path.exists()",
        "warehouse.base.path.stat().st_size",
        "shutil.copyfile(warehouse.path, copy)",
        "Warehouse.of_setting(setting).path.with_suffix('.lock')",
        "work.path.read_bytes()",
    ],
)
def test_file_uses_finds_file_operations_on_a_warehouse(code: str) -> None:
    assert len(list(file_uses(code))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "duckdb.connect()",
        "duckdb.connect(':memory:')",
        "duckdb.connect(config={'errors_as_json': True})",
        "short(shop.warehouse.path)",
        "warehouse.base.read()",
        "project.root / node.path",
    ],
)
def test_file_uses_accepts_messages_and_databases_in_memory(code: str) -> None:
    assert list(file_uses(code)) == []


OPENS_A_CONNECTION = re.compile(
    r"PoolManager|connection_from_url|urlopen\(|build_opener|HTTPS?Connection\(|create_connection|import requests"
)


def test_connections_are_opened_in_one_place() -> None:
    """`pipelines.network.Connection` uses the proxies and certificates of the environment for every request."""
    network = PROJECT / "pipelines" / "network"
    found = [
        f"{path.relative_to(PROJECT)}:{number}"
        for path in _files(".py")
        if network not in path.parents
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if OPENS_A_CONNECTION.search(line)
    ]
    assert found == []


def test_repository_holds_no_links() -> None:
    """A link to a folder such as .uv would lead to a path of the machine that it was made on."""
    listed = subprocess.run(["git", "ls-files", "--stage"], cwd=PROJECT, capture_output=True, text=True)

    assert listed.returncode or listed.stdout
    assert [line for line in listed.stdout.splitlines() if line.startswith("120000")] == []
