"""Unusable files and folders: a full disk, no permission, foreign and damaged files."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from tests.harness.store import Store
from tests.torture.figures import Figures
from tests.torture.judge import judge

_HEADER = 4096


def with_turned_bit(file: bytes, place: int) -> bytes:
    """Return a file with one bit flipped."""
    return file[:place] + bytes([file[place] ^ 1]) + file[place + 1 :]


def turn_bit_of_block(path: Path, sql: str, offset: int = 0) -> None:
    """Flip a bit in a block of a database file: in the block that a query for one block_id returns."""
    with duckdb.connect(str(path), read_only=True) as connection:
        [[block]] = connection.execute(sql).fetchall()
        [[size]] = connection.execute(
            "select block_size from pragma_database_size() where database_name = current_database()"
        ).fetchall()
    # The blocks come after three headers.
    path.write_bytes(with_turned_bit(path.read_bytes(), 3 * _HEADER + size * block + offset))


def from_newer_duckdb(file: bytes) -> bytes:
    """Return the file as a future DuckDB would write it: storage version 999, with the right checksum."""
    header = file[8:12] + struct.pack("<Q", 999) + file[20:_HEADER]
    checksum = 5381
    for (word,) in struct.iter_unpack("<Q", header):
        checksum ^= word * 0xBF58476D1CE4E5B9 % 2**64
    return struct.pack("<Q", checksum) + header + file[_HEADER:]


def disk(store: Store, rounds: int, *, models: bool = True) -> Figures:
    """Sync onto disks of `rounds` sizes that fill up, and into each other unusable place once, and recover."""
    figures = Figures("disk", "a clear sentence, last good state still served, the next good sync recovers")
    store = store.with_warehouse("disk")
    path = store.path
    figures.must(store.sync_in_child(models=models) is None, "the first sync failed")
    for number in range(rounds):
        store.wait()
        _limited(store, figures, models=models and number % 2 == 0)
    if os.geteuid() == 0:
        _small_disk(store, figures, rounds, models=models)
    with _read_only(path.parent):
        _fails(store, figures, "cannot be written", "read-only folder", models=False)
    _files(store, figures)
    store.wait()
    figures.must(store.sync_in_child(models=models, full=True) is None, "the sync at the end failed")
    figures.add(judge(path, store.program, models=models, observations=0), "at the end")
    return figures.end()


def _fails(
    store: Store,
    figures: Figures,
    sentence: str,
    where: str,
    *,
    models: bool,
    limit: int | None = None,
) -> str | None:
    """Sync; a failure must have this error and leave the published file unchanged."""
    path = store.path
    before = path.read_bytes() if path.is_file() else None
    said = store.start(models=models, file_limit=limit).end()
    figures.runs += 1
    if said:
        figures.seen[said] += 1
        figures.must(re.search(sentence, said) is not None, f"{where}: {said}")
        figures.must("Traceback" not in said, f"{where}: {said}")
        after = path.read_bytes() if path.is_file() else None
        figures.must(before == after, f"{where}: the published file was touched")
    return said


def _limited(store: Store, figures: Figures, *, models: bool) -> None:
    """Sync under a limit on the size of files, which may be hit at any moment."""
    limit = int(store.path.stat().st_size * store.random.uniform(0.3, 1.0))
    _fails(
        store,
        figures,
        "cannot be written|no space|full",
        f"files up to {limit:,} bytes",
        models=models,
        limit=limit,
    )


def _small_disk(store: Store, figures: Figures, rounds: int, *, models: bool) -> None:
    small = store.with_warehouse("small")
    folder = small.path.parent
    folder.mkdir()
    size = store.path.stat().st_size
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size * 2}", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        figures.notes.append(
            "no small disk could be mounted here; a limit on the size of files stood in for it"
        )
        return
    try:
        shutil.copyfile(store.path, small.path)
        for number in range(rounds):
            store.wait()
            room = size + int(size * store.random.uniform(0.2, 1.3))
            subprocess.run(["mount", "-o", f"remount,size={room}", str(folder)], check=True)
            what = f"a disk of {room:,} bytes"
            _fails(small, figures, "cannot be written", what, models=models and number % 2 == 0)
        subprocess.run(["mount", "-o", f"remount,size={size * 20}", str(folder)], check=True)
        store.wait()
        figures.must(
            small.sync_in_child(models=models, full=True) is None, "no recovery when there is room again"
        )
        figures.add(judge(small.path, store.program, models=models, observations=0), "room again")
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only; for root, which permissions do not stop, by mounting it so."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)
        return
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _files(store: Store, figures: Figures) -> None:
    path = store.path
    good = path.read_bytes()
    for what, content, sentence in (
        ("no database", b"Dear diary,\n" * 5000, "is not a DuckDB database"),
        ("an empty file", b"", "is not a DuckDB database"),
        ("half a file", good[: len(good) // 2], "is damaged"),
        ("a bit that turned in the header", with_turned_bit(good, 4096 + 8), "is damaged"),
        ("a newer DuckDB", from_newer_duckdb(good), "was written by a newer DuckDB"),
    ):
        path.write_bytes(content)
        said = _fails(store, figures, sentence, what, models=False)
        figures.must(said is not None, f"{what}: the sync did not mind")
        path.write_bytes(good)
    for name in ("rivo.build.duckdb", "rivo.build.duckdb.wal"):
        (path.parent / name).write_bytes(good[: len(good) // 3])
    (path.parent / "rivo.scratch" / "dlt").mkdir(parents=True)
    store.wait()
    figures.runs += 1
    said = store.sync_in_child()
    figures.must(said is None, f"half a build file: {said}")
    figures.add(judge(path, store.program, models=False), "half a build file")
