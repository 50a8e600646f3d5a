"""Compares a database with what is to be published: tables that are new, changed or gone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from pipelines.target_settings import TargetSetting
from pipelines.targets.content import Content, Table
from pipelines.targets.marks import Mark, foreign_table


@dataclass(frozen=True)
class Plan:
    """The tables of a publication by their labels: schema and name in the database."""

    tables: dict[str, Table]
    """All tables and views, in the order in which they can be made."""
    gone: list[str]
    """Labels of tables and views that an earlier publication has written and this one does not have."""
    unchanged: frozenset[str]
    """Labels of those that the database has already, by the fingerprint in the mark."""


def published_labels(found: Sequence[Mark], content: Content) -> list[str]:
    """Return what the shop has published, also under the name that it had before an adoption."""
    return [
        mark.table for mark in found if mark.shop == content.shop or mark.warehouse_id == content.warehouse_id
    ]


def plan_of(
    content: Content,
    target: TargetSetting,
    found: Sequence[Mark],
    present: Collection[str],
    label_of: Callable[[Table], str],
) -> Plan:
    """Return the plan of a publication.

    Args:
        content: what is to be published.
        target: for messages.
        found: the mark of the database, which `check_marks` has accepted.
        present: labels of the tables and views in the schemas of the content and of the mark.
        label_of: gives a table its label.

    Raises:
        TargetError: a table that rivo-warehouse did not write has a name that it needs.
    """
    tables = {label_of(table): table for table in content.tables}
    known = {mark.table: mark.fingerprint for mark in found if mark.shop == content.shop}
    if foreign := sorted(tables.keys() & set(present) - known.keys()):
        raise foreign_table(target, foreign[0])
    gone = sorted(set(published_labels(found, content)) & set(present) - tables.keys())
    unchanged = {
        label for label, table in tables.items() if label in present and known.get(label) == table.fingerprint
    }
    return Plan(tables, gone, frozenset(unchanged))
