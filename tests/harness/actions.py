"""Helpers of tests that apply actions to the sandbox store."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runs.action_rows import Definition, from_file
from runs.actions import Applied, Desk, Watcher, apply, applying, desk
from tests.harness.store import Store, project

Attributes = dict[str, Any]


def people(store: Store, status: str = "member") -> list[Attributes]:
    rows = [row["attributes"] for row in store.objects("customers").values()]
    return [row for row in rows if row["loyalty_status"] == status]


def rich(store: Store) -> Attributes:
    return max(people(store), key=lambda row: row["points_tally"])


def fixed_reward(store: Store) -> int:
    wanted = {"enabled": True, "source": "points", "points_type": "fixed", "reward_type": "fixed_amount"}
    rows = [row["attributes"] for row in store.objects("rewards").values()]
    return next(r["id"] for r in rows if all(r[name] == value for name, value in wanted.items()))


def write(store: Store, rows: Sequence[Attributes], name: str = "people.csv") -> Path:
    file = store.path.parent / name
    with file.open("w", newline="") as text:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


@contextmanager
def opened(store: Store) -> Iterator[Desk]:
    with applying(store.settings) as desk:
        yield desk


def carry_out(store: Store, definition: Definition, **options: Any) -> Applied:
    retry_refused = options.pop("retry_refused", False)
    with opened(store) as desk:
        applied = apply(desk, definition, Watcher(**options), retry_refused=retry_refused)
    assert applied
    return applied


def from_csv(store: Store, kind: str, rows: Sequence[Attributes], name: str = "people.csv") -> Definition:
    return from_file(project(), kind, write(store, rows, name), [])


def states(applied: Applied) -> list[str]:
    return [entry.state for entry in applied.entries]


def landed(store: Store, note: str) -> list[Attributes]:
    rows = [row["attributes"] for row in store.objects("points_events").values()]
    return [row for row in rows if row.get("external_note") == note]


def outbox_of(store: Store) -> Path:
    return store.warehouse.outbox


@contextmanager
def desk_of(store: Store) -> Iterator[Desk]:
    with desk(store.settings) as looked:
        yield looked
