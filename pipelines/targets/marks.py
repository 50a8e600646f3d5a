"""The mark in a target, `rivo_meta.published`: which tables it holds, of which shop, and as of when.

Each publication reads the mark first, so that an older day does not overwrite a newer one, nor one warehouse another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import UTC, datetime

from pipelines.errors import RivoError, command
from pipelines.target_settings import TargetSetting
from pipelines.targets.content import Content
from pipelines.warehouse.storage_errors import first_line

SCHEMA = "rivo_meta"
TABLE = "published"
DESCRIPTION = "The tables that rivo-warehouse has published here: one row per shop and table."
COLUMNS = {
    "table": ("VARCHAR", "Schema and name of the table in this target."),
    "rows": ("BIGINT", "Number of rows; null for a view."),
    "fingerprint": ("VARCHAR", "Differs if rows, columns or descriptions differ."),
    "observed_at": (
        "TIMESTAMP WITH TIME ZONE",
        "Time of the newest data: that of the last complete read of a list.",
    ),
    "shop": ("VARCHAR", "Name of the shop in RIVO_SHOPS; empty without it."),
    "warehouse_id": ("VARCHAR", "Random id of the warehouse that the table comes from."),
    "published_at": ("TIMESTAMP WITH TIME ZONE", "When the warehouse was published on its own machine."),
}
"""Type and description of each column."""


_SHORTEST_PASSWORD = 4
"""A shorter one cannot be taken out of a sentence: its letters are in many words."""


class TargetError(RivoError):
    """A target could not be published to. It has the state that it had before."""


class OtherWarehouse(TargetError):
    """The target holds the data of another warehouse."""


@dataclass(frozen=True)
class Mark:
    """A row of `rivo_meta.published`."""

    table: str
    rows: int | None
    fingerprint: str
    observed_at: datetime
    shop: str
    warehouse_id: str
    published_at: datetime

    @property
    def values(self) -> tuple[object, ...]:
        """The values in the order of `COLUMNS`."""
        return astuple(self)


def marks_of(content: Content, names: Iterable[str]) -> list[Mark]:
    """Return the mark of a publication; `names` are the tables' names in the target, in the order of `tables`."""
    return [
        Mark(
            name,
            None if table.view else table.rows,
            table.fingerprint,
            content.observed_at,
            content.shop,
            content.warehouse_id,
            content.published_at,
        )
        for name, table in zip(names, content.tables, strict=True)
    ]


def check_marks(found: Iterable[Mark], content: Content, target: TargetSetting, *, replace: bool) -> None:
    """Refuse a target whose mark says that it holds newer data, or that of another warehouse.

    Args:
        found: the rows of the mark; those of other shops are ignored.
        content: what is to be published.
        target: for messages.
        replace: whether the user wants to replace the target's content all the same.

    Raises:
        OtherWarehouse: it holds the data of another warehouse.
        TargetError: it holds newer data.
    """
    own = [mark for mark in found if mark.shop == content.shop]
    if replace or not own:
        return
    advice = f"To replace it all the same: `{command()} publish {target.name} --replace`."
    if any(mark.warehouse_id != content.warehouse_id for mark in own):
        raise OtherWarehouse(
            f"{target.variable} holds the data of another warehouse. Nothing was published to it. If it is another "
            f"shop's, choose another target. {advice}"
        )
    newest = max(own, key=lambda mark: (mark.observed_at, mark.published_at))
    if (newest.observed_at, newest.published_at) > (content.observed_at, content.published_at):
        raise TargetError(
            f"{target.variable} holds newer data, as of {_when(newest.observed_at)} and published "
            f"{_when(newest.published_at)}, than this warehouse, as of {_when(content.observed_at)} and published "
            f"{_when(content.published_at)}. Nothing was published to it. {advice}"
        )


def refuse_unmarked(target: TargetSetting, what: str) -> TargetError:
    """Return the error for a target that holds something and has no mark of ours."""
    return TargetError(
        f"{target.variable}: {what}, and rivo-warehouse did not write it: there is no {SCHEMA}.{TABLE}. Nothing was "
        "published, so nothing was overwritten. Choose an empty place, or move what is there away."
    )


def foreign_table(target: TargetSetting, table: str) -> TargetError:
    """Return the error for a table of a name of ours that the mark of the target does not have."""
    return TargetError(
        f"{target.variable} has {table}, which rivo-warehouse did not write. Nothing was published. Rename it, or "
        "choose another place."
    )


def without_secret(error: BaseException, target: TargetSetting) -> str:
    """Return the first line of an error without the target's password."""
    text = first_line(str(error) or type(error).__name__).rstrip(".")
    password = target.password.get_secret_value() if target.password else ""
    if 0 < len(password) < _SHORTEST_PASSWORD and password in text:
        return type(error).__name__
    return text.replace(password, "***") if password else text


def _when(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
