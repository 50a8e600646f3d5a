"""How the last publication to each target ended, kept beside the warehouse, so that `rivo status` asks no server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from pipelines.output_files import write_whole
from pipelines.warehouse import Warehouse


@dataclass(frozen=True)
class LastPublication:
    """The last publication to a target, as this machine knows it."""

    observed_at: datetime | None = None
    """Time of the newest data that was published to it; None if nothing ever was."""
    published_at: datetime | None = None
    """When that was published."""
    problem: str = ""
    """Why the last publication failed; empty if it did not."""
    version: datetime | None = None
    """`published_at` in the warehouse that was published to it."""
    erased_at: datetime | None = None
    """The last deletion of personal data after which the target's older versions were deleted as well."""
    shop: str | None = None
    """The shop's name when it was published, empty without RIVO_SHOPS; None if nothing ever was."""

    def is_before(self, erased_at: datetime | None) -> bool:
        """Return whether the target was not yet cleared of older versions since personal data was last deleted."""
        return erased_at not in (None, self.erased_at)


def read_last_publications(warehouse: Warehouse) -> dict[str, LastPublication]:
    """Return the publications by the name of the target; those of a file that cannot be read are lost."""
    try:
        found = json.loads(warehouse.last_publications_file.read_text(encoding="utf-8"))
        return {name: _decoded(values) for name, values in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_last_publications(warehouse: Warehouse, publications: Mapping[str, LastPublication]) -> None:
    """Replace the publications.

    Raises:
        RivoError: the file cannot be written.
    """
    content = {name: asdict(last) for name, last in publications.items()}
    text = json.dumps(content, indent=2, default=lambda value: value.isoformat())
    write_whole(
        warehouse.last_publications_file,
        text.encode() + b"\n",
        advice="It says which targets are up to date. Check the permissions of the folder, and the space that is left.",
    )


def _decoded(values: Mapping[str, Any]) -> LastPublication:
    times = {
        name: _time(values.get(name)) for name in ("observed_at", "published_at", "version", "erased_at")
    }
    return LastPublication(**times, problem=str(values.get("problem") or ""), shop=values.get("shop"))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
