"""Files for people are complete at any moment, also with several writers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.output_files import write_whole


def test_file_with_several_writers_is_always_complete(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    contents = [letter * 300_000 for letter in (b"a", b"b", b"c")]
    write_whole(path, contents[0])

    def write(content: bytes) -> set[bytes]:
        seen = set()
        for _ in range(60):
            write_whole(path, content)
            seen.add(path.read_bytes())
        return seen

    with ThreadPoolExecutor(3) as pool:
        seen = set().union(*pool.map(write, contents))

    assert seen <= set(contents)
    assert list(tmp_path.iterdir()) == [path]
