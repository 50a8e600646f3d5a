"""Load a project, from the copy that an earlier process kept if no file of it has changed since.

To parse the SQL and infer its lineage takes a second; to read the copy, a few milliseconds. The copy is kept as Python
keeps compiled modules: in `__pycache__`, and not at all if Python may not write there.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from dbt_like_sql.runner.project import Project
from dbt_like_sql.runner.shop_seeds import SHOPS, shop_seed_files

PROJECT = Path(__file__).resolve().parent.parent
"""Folder of the SQL project that ships with this package."""

_FOLDERS = ("models", "seeds", "tests", "actions")
_KINDS = (".sql", ".py", ".csv", ".yml", ".yaml")
_DIGEST_BYTES = hashlib.sha256().digest_size


def load_project(root: Path = PROJECT, shop: str = "") -> Project:
    """Load a project, with the seeds of a shop (`seeds/shops/<shop>`) or, if `shop` is empty, those of all shops.

    Shops without seeds of their own share one copy.

    Raises:
        ProjectError: a file of the project has an error; the message names the file and, if known, the line.
    """
    own = shop_seed_files(root).get(shop, {})
    key = _key(root, own.values())
    kept = root / "__pycache__" / (f"project.{shop}.pickle" if own else "project.pickle")
    project = _read(kept, key)
    if project is None:
        # Imported here, since sqlglot is not needed to read the copy.
        from dbt_like_sql.runner.parsing import parse_project

        project = parse_project(root, shop)
        if not sys.dont_write_bytecode:
            _write(kept, key, project)
    return project


def _key(root: Path, own: Iterable[Path]) -> bytes:
    """Return a digest of everything that the result depends on: the project's files, the code, the versions."""
    digest = hashlib.sha256(f"{root.resolve()} {sys.version} {version('sqlglot')}".encode())
    for path in (*_files(root), *own):
        content = path.read_bytes()
        digest.update(f"{path} {len(content)} ".encode() + content)
    return digest.digest()


def _files(root: Path) -> Iterator[Path]:
    """Return all files that any shop's project depends on; those of single shops are not among them."""
    yield from sorted(root.glob("*.yml"))
    for folder in _FOLDERS:
        yield from sorted(
            path
            for path in (root / folder).rglob("*")
            if path.suffix in _KINDS and path.is_file() and not path.is_relative_to(root / SHOPS)
        )
    yield from sorted(Path(__file__).parent.glob("*.py"))


def _read(kept: Path, key: bytes) -> Project | None:
    """Return the kept copy if it has this key and is whole."""
    with suppress(OSError):
        content = kept.read_bytes()
        digest, pickled = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if digest == hashlib.sha256(key + pickled).digest():
            # A process that can write here can replace compiled modules, too.
            project: Project = pickle.loads(pickled)  # noqa: S301
            return project
    return None


def _write(kept: Path, key: bytes, project: Project) -> None:
    pickled = pickle.dumps(project, pickle.HIGHEST_PROTOCOL)
    part = kept.with_name(f"{kept.name}.{os.getpid()}")
    with suppress(OSError):
        kept.parent.mkdir(exist_ok=True)
        part.write_bytes(hashlib.sha256(key + pickled).digest() + pickled)
        part.replace(kept)
