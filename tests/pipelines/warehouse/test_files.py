from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.warehouse.files import clone


@pytest.mark.parametrize("size", [0, 1, 5_000_001])
def test_clone_is_a_file_of_its_own(tmp_path: Path, size: int) -> None:
    source, copy = tmp_path / "a.duckdb", tmp_path / "b.duckdb"
    source.write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    clone(source, copy)
    before = source.read_bytes()
    assert copy.read_bytes() == before
    with copy.open("r+b") as file:
        file.write(b"changed")
    assert source.read_bytes() == before
    assert copy.read_bytes()[:7] == b"changed"
    source.unlink()
    assert copy.stat().st_size == max(size, 7)


def test_clone_of_a_missing_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.duckdb"):
        clone(tmp_path / "no.duckdb", tmp_path / "b.duckdb")
