"""The folder that an export writes: only its own files, and none that a person has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dbt_like_sql.export.errors import ExportError

MARKER = ".rivo-export.json"
"""File that lists what the export wrote, with a digest of each file."""
_SHOWN = 10


@dataclass(frozen=True)
class Written:
    """The changes that an export made in a folder."""

    files: int
    """Files that the folder now has from the export."""
    replaced: int
    """Files that were there with another content."""
    removed: int
    """Files of an earlier export that no longer belong to it."""
    overwritten: tuple[str, ...]
    """Files that a person had changed, and that were replaced because the user asked for it."""


def write_folder(
    folder: Path, files: Mapping[str, str | bytes], about: Mapping[str, str], *, force: bool
) -> Written:
    """Write the files of an export, and remove those of an earlier one that are no longer part of it.

    Args:
        folder: the folder; it is created if it does not exist.
        files: content by path in the folder.
        about: what the marker says beside the list of files.
        force: whether files that a person has changed are replaced.

    Raises:
        ExportError: the folder has other files, a file was changed by hand, or a file cannot be written.
    """
    content = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    try:
        earlier = _earlier(folder)
        changed = _changed(folder, content, earlier)
        if changed and not force:
            raise ExportError(_about_changes(folder, changed, earlier))
        if not earlier:
            _write(folder / MARKER, _marker(content, about))
        before = {path: _read(folder / path) for path in {*content, *earlier}}
        for path, data in content.items():
            if before[path] != data:
                _write(folder / path, data)
        gone = [path for path in sorted(earlier.keys() - content.keys()) if before[path] is not None]
        for path in gone:
            (folder / path).unlink()
        _write(folder / MARKER, _marker(content, about))
    except OSError as error:
        raise ExportError(
            f"{folder} cannot be written ({error.strerror}: {error.filename}). Choose another folder."
        ) from None
    replaced = sum(before[path] not in (None, data) for path, data in content.items())
    return Written(len(content), replaced, len(gone), tuple(changed))


def _earlier(folder: Path) -> dict[str, str]:
    """Return the digests of an earlier export by path; empty for a new or empty folder."""
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder} is a file. Choose a folder.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return {}
    marker = folder / MARKER
    if not marker.is_file():
        raise ExportError(
            f"{folder} is not empty, and no export has written it: it has no {MARKER}. "
            "Choose another folder, or empty this one."
        )
    try:
        listed = json.loads(marker.read_bytes())["files"]
        return {str(path): str(digest) for path, digest in listed.items()}
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ExportError(
            f"{marker} cannot be read, so it is not known which files the export wrote. Choose another folder."
        ) from None


def _changed(folder: Path, content: Mapping[str, bytes], earlier: Mapping[str, str]) -> list[str]:
    """List the files that exist with another content than the earlier export wrote and this one would write."""
    changed = []
    for path in sorted({*content, *earlier}):
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise ExportError(
                f"{folder / MARKER} lists {path}, which is not in the folder. Choose another folder."
            )
        found = _read(folder / path)
        if found is not None and found != content.get(path) and _digest(found) != earlier.get(path):
            changed.append(path)
    return changed


def _about_changes(folder: Path, changed: list[str], earlier: Mapping[str, str]) -> str:
    shown = "\n".join(f"  {path}" for path in changed[:_SHOWN])
    more = f"\n  and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    kind = "changed by hand" if all(path in earlier for path in changed) else "changed or added by hand"
    were = "1 file was" if len(changed) == 1 else f"{len(changed)} files were"
    return (
        f"In {folder}, {were} {kind} since the last export:\n{shown}{more}\n"
        "Nothing was written. Move your changes into the project of rivo-warehouse or into files of your own, "
        "or replace these files with --overwrite."
    )


def _marker(content: Mapping[str, bytes], about: Mapping[str, str]) -> bytes:
    files = {path: _digest(content[path]) for path in sorted(content)}
    return (json.dumps({**about, "files": files}, indent=1) + "\n").encode()


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.replace(path)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
