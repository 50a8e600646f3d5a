"""Dagster's private names: one test for each that the project uses. A failure says what breaks, and what to change.

`PRIVATE_NAMES` is complete: other tests here compare it with the code of `assets/instance` and with dagster.yaml.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._annotations import is_public
from sqlalchemy import Table

from assets.instance import storage
from pipelines.settings import PROJECT

FOLDER = PROJECT / "assets" / "instance"
SQLITE = "dagster._core.storage.event_log.SqliteEventLogStorage"
BOTH = "dagster._core.storage.sqlite_storage.DagsterSqliteStorage"
INSTANCE = "dagster.DagsterInstance"


@dataclass(frozen=True)
class PrivateName:
    """A name of Dagster's that may change in any release: a class, function, constant, method or attribute.

    `parameters` are those of a function or method, without `self`: all of them for a method that the project
    overrides (`is_overridden`), the ones it passes for any other. `value` is that of a constant.
    """

    name: str
    breaks: str
    file: str
    parameters: tuple[str, ...] | None = None
    is_overridden: bool = False
    value: str | None = None
    columns: tuple[str, ...] = ()


SLOW = "a sync takes twice as long, because Dagster opens and closes SQLite several times an event"
NO_PLAN = "planned events are written one by one, after a message on standard error"
STOPPED = "no `rivo` command that uses Dagster starts, because the storage of dagster.yaml cannot be loaded"
RETENTION = "old runs are not deleted, and DAGSTER_HOME grows by some six megabytes a sync"
RESUME = "`Re-execute > From failure` reads all lists again"

PRIVATE_NAMES = [
    # dagster.yaml
    PrivateName(
        "dagster._core.storage.noop_compute_log_manager.NoOpComputeLogManager",
        "Dagster does not start with the shipped dagster.yaml",
        "./dagster.yaml",
    ),
    # storage.py: the event log
    PrivateName("dagster._core.events.log.EventLogEntry", STOPPED, "storage.py"),
    PrivateName(SQLITE, STOPPED, "storage.py"),
    PrivateName(
        "dagster._core.storage.event_log.sqlite.sqlite_event_log.INDEX_SHARD_NAME",
        "events are written to an index that Dagster does not read",
        "storage.py",
        value="index",
    ),
    PrivateName("dagster._serdes.ConfigurableClassData", STOPPED, "storage.py"),
    PrivateName(f"{SQLITE}.__init__", STOPPED, "storage.py", ("base_dir", "inst_data"), is_overridden=True),
    PrivateName(f"{SQLITE}.run_connection", SLOW, "storage.py", ("run_id",), is_overridden=True),
    PrivateName(f"{SQLITE}.index_connection", SLOW, "storage.py", (), is_overridden=True),
    PrivateName(
        f"{SQLITE}.store_event",
        "the Dagster UI does not show the events of a running sync",
        "storage.py",
        ("event",),
        is_overridden=True,
    ),
    PrivateName(
        f"{SQLITE}.store_event_batch",
        "planned events are written one by one, in half a second more",
        "storage.py",
        ("events",),
        is_overridden=True,
    ),
    PrivateName(
        f"{SQLITE}.delete_events",
        "the database files of deleted runs stay in DAGSTER_HOME",
        "storage.py",
        ("run_id",),
        is_overridden=True,
    ),
    PrivateName(f"{SQLITE}.has_table", SLOW, "storage.py", ("table_name",), is_overridden=True),
    PrivateName(
        f"{SQLITE}.wipe",
        "`dagster run wipe` deletes databases that are still open",
        "storage.py",
        (),
        is_overridden=True,
    ),
    PrivateName(
        f"{SQLITE}.dispose", "databases stay open after a sync", "storage.py", (), is_overridden=True
    ),
    PrivateName(
        f"{SQLITE}._has_asset_key_index_cols_on_connection",
        SLOW,
        "storage.py",
        ("conn",),
        is_overridden=True,
    ),
    PrivateName(f"{SQLITE}._event_to_row", NO_PLAN, "storage.py", ("event",)),
    PrivateName(f"{SQLITE}._store_asset_event", NO_PLAN, "storage.py", ("conn", "event", "event_id")),
    PrivateName(
        "dagster._core.definitions.asset_checks.asset_check_evaluation.AssetCheckEvaluationPlanned",
        STOPPED,
        "storage.py",
    ),
    PrivateName(
        "dagster._core.storage.asset_check_execution_record.AssetCheckExecutionRecordStatus",
        STOPPED,
        "storage.py",
    ),
    PrivateName(
        "dagster._core.storage.event_log.SqlEventLogStorageTable",
        NO_PLAN,
        "storage.py",
        columns=(
            "id",
            "run_id",
            "event",
            "dagster_event_type",
            "timestamp",
            "step_key",
            "asset_key",
            "partition",
        ),
    ),
    PrivateName(f"{SQLITE}.path_for_shard", "no event can be written", "storage.py", ("run_id",)),
    PrivateName(f"{SQLITE}.conn_string_for_shard", "no event can be written", "storage.py", ("shard_name",)),
    PrivateName(f"{SQLITE}._connect", "new event databases get no tables", "storage.py", ("shard",)),
    # storage.py: the storage of dagster.yaml
    PrivateName(BOTH, STOPPED, "storage.py"),
    PrivateName(f"{BOTH}.__init__", STOPPED, "storage.py", ("base_dir", "inst_data"), is_overridden=True),
    PrivateName(
        f"{BOTH}.from_config_value",
        "dagster.yaml gets Dagster's own storage: " + SLOW,
        "storage.py",
        ("inst_data", "config_value"),
        is_overridden=True,
    ),
    PrivateName(f"{BOTH}.from_local", STOPPED, "storage.py", ("base_dir", "inst_data")),
    PrivateName(
        f"{INSTANCE}.optimize_for_webserver",
        "a sync with DAGSTER_POSTGRES_URL opens a connection for each statement",
        "storage.py",
        ("statement_timeout", "pool_recycle", "max_overflow"),
    ),
    # retention.py
    PrivateName("dagster._core.storage.event_log.SqlEventLogStorage", RETENTION, "retention.py"),
    PrivateName(
        "dagster._core.storage.event_log.SqlEventLogStorage.index_connection", RETENTION, "retention.py", ()
    ),
    PrivateName(
        "dagster._core.storage.event_log.schema.AssetCheckExecutionsTable",
        "check results of deleted runs stay in Dagster's storage, and no run starts",
        "retention.py",
        columns=(
            *("asset_key", "check_name", "partition", "run_id", "execution_status", "evaluation_event"),
            *("evaluation_event_timestamp", "evaluation_event_storage_id"),
        ),
    ),
    PrivateName(f"{INSTANCE}.event_log_storage", RETENTION, "retention.py"),
    PrivateName(f"{INSTANCE}.get_runs", RETENTION, "retention.py", ("filters", "limit", "ascending")),
    # retries.py
    PrivateName(
        "dagster._core.storage.tags.RESUME_RETRY_TAG", RESUME, "retries.py", value="dagster/is_resume_retry"
    ),
    PrivateName(
        "dagster._core.storage.tags.PARENT_RUN_ID_TAG", RESUME, "retries.py", value="dagster/parent_run_id"
    ),
    PrivateName(
        "dagster._core.storage.tags.PARTITION_NAME_TAG",
        "with several shops, runs and alerts do not know their shop",
        "private.py",
        value="dagster/partition",
    ),
    PrivateName(f"{INSTANCE}.get_records_for_run", RESUME, "retries.py", ("run_id", "of_type")),
    # private.py
    PrivateName(
        "dagster._core.definitions.asset_checks.asset_check_evaluation.AssetCheckEvaluationTargetMaterializationData",
        "with several shops, late ones are not reported",
        "private.py",
    ),
    PrivateName(
        "dagster._utils.schedules.cron_string_iterator",
        "the definitions do not load: freshness policies are computed from the ticks of RIVO_SYNC_CRON",
        "private.py",
        ("start_timestamp", "cron_string", "execution_timezone"),
    ),
    PrivateName(
        "dagster._utils.schedules.reverse_cron_string_iterator",
        "`rivo status` does not start: it compares the last sync with the last tick of RIVO_SYNC_CRON",
        "private.py",
        ("end_timestamp", "cron_string", "execution_timezone"),
    ),
    PrivateName(
        "dagster._utils.warnings.suppress_dagster_warnings",
        "every command prints Dagster's beta warnings about code references",
        "private.py",
    ),
    PrivateName(
        f"{INSTANCE}.add_run_tags",
        "a failed run is reported twice to RIVO_ALERT_URL, and old runs are not deleted",
        "private.py",
        ("run_id", "new_tags"),
    ),
    # Undocumented, though not marked as private
    PrivateName(
        "dagster.Definitions.resolve_job_def",
        "`rivo sync` does not start",
        "cli/commands/run_job.py",
        ("name",),
    ),
    PrivateName(
        "dagster.JobDefinition.asset_layer", "`rivo sync --only` does not start", "cli/commands/run_job.py"
    ),
]
BY_NAME = {private.name: private for private in PRIVATE_NAMES}


@pytest.mark.parametrize("private", PRIVATE_NAMES, ids=lambda private: private.name)
def test_private_name_is_as_expected(private: PrivateName) -> None:
    file = private.file if "/" in private.file else f"assets/instance/{private.file}"
    assert [
        f"{problem}. Consequence: {private.breaks}. Change {file}." for problem in _problems(private)
    ] == []


def test_private_names_cover_all_imports() -> None:
    assert {name for path in FOLDER.glob("*.py") for name in _imports(path)} - set(BY_NAME) == set()


def test_private_names_cover_dagster_yaml() -> None:
    config = yaml.safe_load((PROJECT / "dagster.yaml").read_text())
    classes = {
        f"{entry['module']}.{entry['class']}"
        for entry in (config["compute_logs"], config["storage"]["custom"])
    }

    assert classes - {"assets.instance.storage.OpenSqliteStorage"} - set(BY_NAME) == set()
    assert "dagster._" not in (PROJECT / "deploy" / "dagster-postgres.yaml").read_text()


@pytest.mark.parametrize(
    ("own", "base"), [(storage.OpenSqliteEventLogStorage, SQLITE), (storage.OpenSqliteStorage, BOTH)]
)
def test_private_names_cover_the_methods_of_storage_classes(own: type, base: str) -> None:
    theirs = dir(_find(base))
    overridden = {
        name for name, value in vars(own).items() if callable(value) or isinstance(value, classmethod)
    }
    overridden &= {name for name in theirs if hasattr(_find(base), name)}
    used = {name for name in _attributes(own, "self", "cls") if name in theirs and name not in vars(own)}

    assert {f"{base}.{name}" for name in overridden} == {
        private.name
        for private in PRIVATE_NAMES
        if private.name.rpartition(".")[0] == base and private.is_overridden
    }
    assert {f"{base}.{name}" for name in used} - set(BY_NAME) == set()


def test_private_names_cover_the_undocumented_methods_of_the_instance() -> None:
    used = {
        node.attr
        for path in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "instance"
    }
    undocumented = {name for name in used if not is_public(inspect.getattr_static(dg.DagsterInstance, name))}

    assert "optimize_for_webserver" in undocumented
    assert {f"{INSTANCE}.{name}" for name in undocumented} - set(BY_NAME) == set()


def test_private_names_are_imported_in_assets_instance_alone() -> None:
    packages = ("assets", "cli", "runs", "pipelines", "dbt_like_sql", "examples", "benchmarks", "tests")
    paths = [path for package in packages for path in (PROJECT / package).rglob("*.py")]
    allowed = {FOLDER, PROJECT / "tests" / "assets" / "instance"}

    assert len(paths) > 100
    assert [
        f"{path.relative_to(PROJECT)}: {name}"
        for path in paths
        if not allowed & set(path.parents)
        for name in _imports(path)
    ] == []


def test_private_event_log_attribute_holds_the_event_log(tmp_path: Path) -> None:
    opened = storage.OpenSqliteStorage(str(tmp_path))

    assert isinstance(opened.event_log_storage, storage.OpenSqliteEventLogStorage), (
        "DagsterSqliteStorage does not use its attribute _event_log_storage. Consequence: Dagster's own event log is "
        f"used, and {SLOW}. Change assets/instance/storage.py."
    )


def _find(name: str) -> Any:
    """Return the object with a dotted name: the longest importable module, then its attributes."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            found: Any = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = inspect.getattr_static(found, part)
        return found
    raise AttributeError(name)


def _problems(private: PrivateName) -> Iterator[str]:
    try:
        found = _find(private.name)
    except AttributeError:
        yield f"{private.name} does not exist in Dagster {dg.__version__}"
        return
    if private.value is not None and found != private.value:
        yield f"{private.name} is {found!r}, not {private.value!r}"
    if private.columns and not (isinstance(found, Table) and set(private.columns) <= set(found.c.keys())):
        yield f"{private.name} is not a table with the columns {', '.join(private.columns)}"
    if private.parameters is None:
        return
    function = inspect.unwrap(getattr(found, "__func__", found))
    present = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
    expected = list(private.parameters)
    if (private.is_overridden and present != expected) or not set(expected) <= set(present):
        yield f"{private.name} has the parameters {present}, not {expected}"


def _imports(path: Path) -> Iterator[str]:
    """Yield the private names that a module imports or names in a text, in full."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = re.findall(r"\bdagster\w*\.[\w.]+", node.value)
        else:
            continue
        yield from (name for name in names if re.match(r"dagster\w*\.(.+\.)?_", name))


def _attributes(owner: type, *objects: str) -> Iterator[str]:
    """Yield the names of attributes that a class reads or writes on `self`, `cls` and `super()`."""
    for node in ast.walk(ast.parse(inspect.getsource(owner))):
        if isinstance(node, ast.Attribute):
            of = node.value
            if (isinstance(of, ast.Name) and of.id in objects) or (
                isinstance(of, ast.Call) and isinstance(of.func, ast.Name) and of.func.id == "super"
            ):
                yield node.attr
