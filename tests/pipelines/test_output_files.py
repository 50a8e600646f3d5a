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


def test_file_behind_a_link_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    link = tmp_path / "latest.html"
    link.symlink_to("pages/page.html")

    for content in (b"one", b"two"):
        write_whole(link, content)

        assert link.is_symlink()
        assert (tmp_path / "pages" / "page.html").read_bytes() == content


def test_standard_output_is_written_and_not_replaced(tmp_path: Path) -> None:
    # A link of the same kind as /dev/stdout, which a test as root must not risk.
    taken = (tmp_path / "taken").open("w+b")
    stream = Path(f"/proc/self/fd/{taken.fileno()}")

    write_whole(stream, b"page")

    assert stream.is_symlink()
    assert (tmp_path / "taken").read_bytes() == b"page"
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
