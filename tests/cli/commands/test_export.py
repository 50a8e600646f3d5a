"""`rivo models export` on the command line."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Rivo
from tests.harness.store import project


def test_models_export_writes_a_project_and_protects_changes(rivo: Rivo, tmp_path: Path) -> None:
    folder = tmp_path / "dbt"
    first = rivo("models", "export", "--dialect", "duckdb", str(folder))
    assert first.returncode == 0, first.stderr
    assert f"for DuckDB: {len(project().models)} models" in first.stdout
    assert "Read " in first.stdout
    readme = folder / "README.md"
    assert "dbt build" in readme.read_text()

    readme.write_text("my notes")
    refused = rivo("models", "export", "--dialect", "duckdb", str(folder))
    assert refused.returncode == 1
    assert "1 file was changed by hand" in refused.stderr
    assert "README.md" in refused.stderr
    assert readme.read_text() == "my notes"

    again = rivo("models", "export", "--dialect", "duckdb", "--overwrite", str(folder))
    assert again.returncode == 0, again.stderr
    assert "Replaced README.md, which was changed by hand." in again.stdout


def test_models_export_refuses_a_foreign_folder_an_unknown_dialect_and_shop(
    rivo: Rivo, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    foreign = rivo("models", "export", "--dialect", "spark", str(tmp_path))
    assert foreign.returncode == 1
    assert "is not empty, and no export has written it" in foreign.stderr
    unknown = rivo("models", "export", "--dialect", "oracle", str(tmp_path / "new"))
    assert unknown.returncode == 2
    assert "duckdb" in unknown.stderr
    shop = rivo("models", "export", "--dialect", "spark", "--shop", "de", str(tmp_path / "new"))
    assert shop.returncode == 2
    assert "There is no shop de" in shop.stderr
    assert not (tmp_path / "new").exists()
