"""DAGSTER_HOME: its dagster.yaml follows the releases, unless the user changed it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import dagster as dg
import pytest
import yaml

from assets.instance import home
from assets.instance.home import open_instance, prepare_dagster_home
from pipelines.errors import SettingsError
from pipelines.settings import PROJECT


@dg.job
def example() -> None:
    """Do nothing."""


SHIPPED = (PROJECT / "dagster.yaml").read_text()


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of dagster.yaml in a DAGSTER_HOME of its own, which does not exist yet."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "dagster.yaml"


def test_dagster_yaml_of_an_older_release_is_replaced(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare_dagster_home()
    assert copy.read_text() == SHIPPED
    # As an older release left them.
    copy.write_text("telemetry: {enabled: false}\n")
    copy.with_name("dagster.yaml.shipped").write_text("telemetry: {enabled: false}\n")

    prepare_dagster_home()

    assert copy.read_text() == SHIPPED
    assert capsys.readouterr().err == ""
    assert sorted(path.name for path in copy.parent.iterdir()) == ["dagster.yaml", "dagster.yaml.shipped"]


def test_processes_that_create_the_storage_at_the_same_time_all_succeed(tmp_path: Path) -> None:
    program = """
import os, sys
import assets.instance.storage
from assets.instance.home import open_instance

failed = 0
for n in range(3):
    os.environ["DAGSTER_HOME"] = f"{sys.argv[1]}/{n}"
    waiting, begin = os.pipe()
    children = []
    for _ in range(4):
        if not (child := os.fork()):
            os.close(begin)
            os.read(waiting, 1)
            with open_instance() as instance:
                instance.get_runs()
            os._exit(0)
        children.append(child)
    os.close(begin)
    failed += sum(os.waitpid(child, 0)[1] != 0 for child in children)
    os.close(waiting)
sys.exit(min(failed, 1))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        env={**os.environ, "RIVO_ENV_FILE": os.devnull},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_dagster_yaml_from_before_the_note_is_recognised_by_its_digest(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy.parent.mkdir()
    copy.write_text("nux: {enabled: false}\n")
    sums = frozenset({home._digest("nux: {enabled: false}\n")})
    monkeypatch.setattr(home, "_SHIPPED_BEFORE", sums)

    prepare_dagster_home()

    assert copy.read_text() == SHIPPED


def test_changed_dagster_yaml_is_kept_and_reported_once(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy.parent.mkdir()
    copy.write_text("telemetry: {enabled: true}\n")

    prepare_dagster_home()
    output = capsys.readouterr().err
    prepare_dagster_home()

    assert copy.read_text() == "telemetry: {enabled: true}\n"
    assert "was changed by hand" in output
    assert copy.with_name("dagster.yaml.shipped").read_text() == SHIPPED
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "line",
    [
        "    module: assets.instance_storage\n",
        "    module: 'assets.instance_storage'  # assets.instance_storage of 0.1.0\r\n",
        "    {module: assets.instance_storage, class: OpenSqliteStorage}\n",
    ],
)
def test_former_storage_module_is_replaced_in_a_changed_file(
    copy: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    old = (
        SHIPPED.replace("    module: assets.instance.storage\n", line)
        + "# module: assets.instance_storage, \xe9\r\n"
    )
    copy.parent.mkdir()
    copy.with_name("dagster.yaml.shipped").write_text("of 0.1.0")
    copy.write_bytes(old.encode())
    copy.chmod(0o640)

    prepare_dagster_home()

    assert copy.read_bytes() == old.replace("assets.instance_storage", "assets.instance.storage", 1).encode()
    assert copy.stat().st_mode & 0o777 == 0o640
    [line_of_module, line_of_release] = capsys.readouterr().err.splitlines()
    assert "the module assets.instance_storage was replaced by its new name" in line_of_module
    assert "was changed by hand" in line_of_release
    prepare_dagster_home()
    assert capsys.readouterr().err == ""


def test_other_modules_in_a_changed_file_are_kept(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "storage:\n  custom: {module: assets.instance_storage.mine, class: Mine}\n"
    copy.parent.mkdir()
    copy.write_text(text)

    prepare_dagster_home()

    assert copy.read_text() == text
    assert "replaced by its new name" not in capsys.readouterr().err


def test_link_to_a_changed_dagster_yaml_stays_a_link(copy: Path, tmp_path: Path) -> None:
    target = tmp_path / "configuration.yaml"
    target.write_text(
        "storage:\n  custom:\n    module: assets.instance_storage\n    class: OpenSqliteStorage\n"
    )
    copy.parent.mkdir()
    copy.symlink_to(target)

    prepare_dagster_home()

    assert copy.is_symlink()
    assert "module: assets.instance.storage\n" in target.read_text()


def test_postgres_url_replaces_the_sqlite_storage(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare_dagster_home()
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://dagster:secret@db/dagster")
    monkeypatch.setenv("DAGSTER_STORAGE_URL", "")
    monkeypatch.setattr(home, "find_spec", lambda name: ModuleSpec(name, None))

    prepare_dagster_home()

    config = yaml.safe_load(copy.read_text())
    variable = config["storage"]["postgres"]["postgres_url"]["env"]
    assert os.environ[variable] == "postgresql+psycopg2://dagster:secret@db/dagster"
    assert config["telemetry"] == {"enabled": False}
    assert "secret" not in copy.read_text()

    monkeypatch.setattr(home, "find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match="EXTRAS=postgres"):
        prepare_dagster_home()
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "mysql://dagster:secret@db/dagster")
    with pytest.raises(SettingsError, match="DAGSTER_POSTGRES_URL: must be postgresql://") as raised:
        prepare_dagster_home()
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("name", ["50%20 off", "what?"])
def test_home_that_no_database_address_can_name_is_refused_before_it_is_made(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / name))
    with pytest.raises(SettingsError, match=r"Set DAGSTER_HOME to a folder without \? and % in its name"):
        prepare_dagster_home()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["o'brien", "50%", "a [1] *", "#1;&=", 'say "hi"', "zoë"])
def test_home_may_have_any_other_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / name))
    with open_instance() as instance:
        run = instance.create_run_for_job(example)
        instance.report_engine_event("It runs.", run)
        assert [event.message for event in instance.all_logs(run.run_id)] == ["It runs."]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_folder_of_dagster_with_a_percent_sign_is_refused(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModuleSpec("dagster", None, origin="/srv/50%/lib/dagster/__init__.py")
    monkeypatch.setattr(home, "find_spec", lambda _name: spec)
    with pytest.raises(SettingsError, match="Move the project to a folder without one"):
        prepare_dagster_home()
    assert not copy.parent.exists()
