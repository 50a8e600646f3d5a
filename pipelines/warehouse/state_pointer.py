"""The pointer to the state of a warehouse in shared storage, and the note of which state this machine has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.errors import WarehouseError
from pipelines.warehouse.files import sync_to_disk

POINTER = "current.json"
FORMAT = 1


@dataclass(frozen=True)
class Part:
    """A file of a state: its object, and what is in it."""

    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Pointer:
    """The newest state.

    Attributes:
        version: a random text, different for each state.
        shop: the shop's name in RIVO_SHOPS; empty without it.
        machine: the name of the machine that wrote it.
        written_at: when, by that machine's clock.
        parts: the files of the state, by name: warehouse, pending, outbox, webhooks, targets.
        earlier: the keys of the objects of earlier states that are kept, newest first.
        has_erased: whether a person was erased, and the published warehouse still has the person's rows.
    """

    version: str
    shop: str
    machine: str
    written_at: datetime
    parts: Mapping[str, Part]
    earlier: tuple[tuple[str, ...], ...] = ()
    has_erased: bool = False

    @property
    def keys(self) -> set[str]:
        """The keys of all objects that the state or an earlier one refers to."""
        return {part.key for part in self.parts.values()} | {key for keys in self.earlier for key in keys}

    def encoded(self) -> bytes:
        """Return the JSON document."""
        document = {"format": FORMAT, **asdict(self), "written_at": self.written_at.isoformat()}
        return json.dumps(document, indent=2).encode()


def decoded(content: bytes, url: str) -> Pointer:
    """Return a pointer.

    Raises:
        WarehouseError: it is something else, or of a later release.
    """
    try:
        found: dict[str, Any] = json.loads(content)
        if found.pop("format") != FORMAT:
            raise WarehouseError(
                f"The state at {url} was written by a later release of rivo-warehouse. Upgrade this machine. Nothing "
                "was changed."
            )
        return Pointer(
            **{
                **found,
                "written_at": datetime.fromisoformat(found["written_at"]),
                "parts": {name: Part(**part) for name, part in found["parts"].items()},
                "earlier": tuple(tuple(keys) for keys in found["earlier"]),
            }
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WarehouseError(
            f"{url}/{POINTER} is not a state of rivo-warehouse. RIVO_STATE must name a prefix of its own. Nothing was "
            "changed."
        ) from None


@dataclass(frozen=True)
class Note:
    """The state that this machine has.

    Attributes:
        url: where it came from.
        version: that of the pointer.
        keys: the objects of its files, by name.
        is_whole: false while files are replaced: after a kill, some may be of another state.
    """

    url: str
    version: str
    keys: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = True


def note_path(published: Path) -> Path:
    """Return the note's file beside the published file, such as `rivo.state.json`."""
    suffix = "" if published.suffix in ("", ".duckdb") else published.suffix
    return published.with_name(f"{published.stem}{suffix}.state.json")


def read_note(published: Path, url: str) -> Note | None:
    """Return the note about the state at a URL; None if this machine has no state from there."""
    try:
        note = Note(**json.loads(note_path(published).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return note if note.url == url else None


def write_note(published: Path, note: Note) -> None:
    """Write the note, in one step and flushed to the disk.

    Raises:
        OSError: it cannot be written.
    """
    path = note_path(published)
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(json.dumps(asdict(note)))
    sync_to_disk(unfinished)
    unfinished.replace(path)
    sync_to_disk(path.parent)
