"""The folder of an export: files of its own only, and none that a person has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbt_like_sql.export.errors import ExportError
from dbt_like_sql.export.folder import MARKER, Written, write_folder

ABOUT = {"dialect": "postgres"}
FILES: dict[str, str | bytes] = {"models/a.sql": "select 1\n", "README.md": "read\n"}


def write(folder: Path, files: dict[str, str | bytes] = FILES, *, force: bool = False) -> Written:
    return write_folder(folder, files, ABOUT, force=force)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_export_writes_a_new_folder_and_the_same_bytes_again(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "dbt"
    assert write(folder) == Written(2, 0, 0, ())
    first = contents(folder)
    assert set(first) == {*FILES, MARKER}
    assert write(folder) == Written(2, 0, 0, ())
    assert contents(folder) == first


def test_export_replaces_and_removes_only_files_of_its_own(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "manifest.json").write_text("{}")
    (tmp_path / "models" / "mine.sql").write_text("select 2")

    written = write(tmp_path, {"models/b.sql": "select 3\n", "README.md": "read again\n"})

    assert written == Written(2, 1, 1, ())
    assert set(contents(tmp_path)) == {
        "README.md",
        "models/b.sql",
        "models/mine.sql",
        "target/manifest.json",
        MARKER,
    }


@pytest.mark.parametrize("name", ["notes.txt", ".git/config"])
def test_export_refuses_a_folder_of_others(tmp_path: Path, name: str) -> None:
    other = tmp_path / name
    other.parent.mkdir(exist_ok=True)
    other.write_text("mine")
    with pytest.raises(ExportError, match="is not empty, and no export has written it"):
        write(tmp_path, force=True)
    assert set(contents(tmp_path)) == {name}


def test_export_names_files_changed_by_hand_and_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "README.md").write_text("my notes\n")
    before = contents(tmp_path)
    with pytest.raises(ExportError, match=r"(?s)1 file was changed by hand.*README\.md.*--overwrite"):
        write(tmp_path, {**FILES, "models/a.sql": "select 4\n"})
    assert contents(tmp_path) == before

    assert write(tmp_path, force=True).overwritten == ("README.md",)
    assert (tmp_path / "README.md").read_text() == "read\n"


def test_export_does_not_replace_a_file_that_a_person_added(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "models" / "b.sql").write_text("mine")
    with pytest.raises(ExportError, match=r"changed or added by hand.*"):
        write(tmp_path, {**FILES, "models/b.sql": "select 5\n"})


def test_export_continues_where_an_earlier_one_was_killed(tmp_path: Path) -> None:
    write(tmp_path)
    # The next release changes both files, and the process ends after the first.
    (tmp_path / "models" / "a.sql").write_text("select 6\n")
    written = write(tmp_path, {"models/a.sql": "select 6\n", "README.md": "next\n"})
    assert written.replaced == 1
    assert (tmp_path / "README.md").read_text() == "next\n"


@pytest.mark.parametrize("text", ["", "[]", '{"files": 3}', '{"files": {"../x": "1"}}'])
def test_export_refuses_a_marker_that_is_damaged(tmp_path: Path, text: str) -> None:
    write(tmp_path)
    (tmp_path / MARKER).write_text(text)
    with pytest.raises(ExportError, match="Choose another folder"):
        write(tmp_path)


def test_export_refuses_a_file_and_reports_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ExportError, match="is a file"):
        write(tmp_path / "file")
    with pytest.raises(ExportError, match="cannot be written"):
        write(tmp_path / "file" / "below")
