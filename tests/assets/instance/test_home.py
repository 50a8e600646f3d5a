"""DAGSTER_HOME: its dagster.yaml is the release's, unless somebody made it his own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from assets.instance import home as dagster_instance
from assets.instance.home import prepare_dagster_home
from pipelines.errors import SettingsError
from pipelines.settings import PROJECT

SHIPPED = (PROJECT / "dagster.yaml").read_text()


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The dagster.yaml of a DAGSTER_HOME of the test's own."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "dagster.yaml"


def test_the_file_of_an_older_release_is_renewed(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare_dagster_home()
    assert copy.read_text() == SHIPPED
    # An older release wrote both files.
    copy.write_text("telemetry: {enabled: false}\n")
    copy.with_name("dagster.yaml.shipped").write_text("telemetry: {enabled: false}\n")

    prepare_dagster_home()

    assert copy.read_text() == SHIPPED
    assert capsys.readouterr().err == ""
    assert sorted(path.name for path in copy.parent.iterdir()) == ["dagster.yaml", "dagster.yaml.shipped"]


def test_several_may_begin_it_at_the_same_moment(tmp_path: Path) -> None:
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


def test_a_file_from_before_the_note_is_known_by_its_sum(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy.parent.mkdir()
    copy.write_text("nux: {enabled: false}\n")
    sums = frozenset({dagster_instance._digest("nux: {enabled: false}\n")})
    monkeypatch.setattr(dagster_instance, "_SHIPPED_BEFORE", sums)

    prepare_dagster_home()

    assert copy.read_text() == SHIPPED


def test_a_file_that_was_changed_is_left_and_told_of_once(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy.parent.mkdir()
    copy.write_text("telemetry: {enabled: true}\n")

    prepare_dagster_home()
    said = capsys.readouterr().err
    prepare_dagster_home()

    assert copy.read_text() == "telemetry: {enabled: true}\n"
    assert "was changed by hand and is left as it is" in said
    assert copy.with_name("dagster.yaml.shipped").read_text() == SHIPPED
    assert capsys.readouterr().err == ""


def test_postgres_is_a_setting(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare_dagster_home()
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://dagster:secret@db/dagster")
    monkeypatch.setenv("DAGSTER_STORAGE_URL", "")
    monkeypatch.setattr(dagster_instance, "find_spec", lambda _name: object())

    prepare_dagster_home()

    told = yaml.safe_load(copy.read_text())
    variable = told["storage"]["postgres"]["postgres_url"]["env"]
    assert os.environ[variable] == "postgresql+psycopg2://dagster:secret@db/dagster"
    assert told["telemetry"] == {"enabled": False}
    assert "secret" not in copy.read_text()

    monkeypatch.setattr(dagster_instance, "find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match="EXTRAS=postgres"):
        prepare_dagster_home()
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "mysql://dagster:secret@db/dagster")
    with pytest.raises(SettingsError, match="DAGSTER_POSTGRES_URL: must be postgresql://") as raised:
        prepare_dagster_home()
    assert "secret" not in str(raised.value)
