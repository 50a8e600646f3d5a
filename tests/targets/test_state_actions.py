"""Actions from two machines that share a state: none is sent twice, whatever dies in between."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.actions import sending
from pipelines.actions.outbox_file import look_into_outbox
from pipelines.errors import RivoError
from pipelines.load.sync import SyncOptions, sync_lists
from pipelines.warehouse import Warehouse
from pipelines.warehouse.state import StateMoved
from runs.action_rows import from_row
from runs.actions import Watcher, apply, applying
from sandbox import ProgramOptions
from tests.harness.actions import carry_out, from_csv, landed, opened, people, states
from tests.harness.settings import make_settings
from tests.harness.store import Store, open_store
from tests.harness.working_copy import working_copy
from tests.targets.killing import Child
from tests.targets.machines import URL, numbers_of, pointer
from tests.targets.s3 import S3


@pytest.fixture
def a(tmp_path: Path, s3: S3) -> Iterator[Store]:
    path = tmp_path / "a" / "rivo.duckdb"
    path.parent.mkdir()
    options = {"settle_seconds": 0.0, "state": URL}
    with open_store(path, ProgramOptions(customers=40, months=4), options=options) as store:
        yield store


@pytest.fixture
def b(a: Store) -> Store:
    other = a.with_warehouse("b")
    other.path.parent.mkdir()
    return other


def _sync(store: Store) -> None:
    with working_copy(Warehouse.of_shop(store.settings), store.settings) as work:
        list(sync_lists(work, store.settings, SyncOptions(("vip_tiers",))))
        work.publish()


def _states_on(store: Store) -> list[str]:
    with look_into_outbox(store.warehouse.outbox) as outbox:
        return sorted(state for (_, state), count in outbox.count().items() for _ in range(count))


def test_action_that_one_machine_has_sent_is_done_for_the_other(a: Store, b: Store) -> None:
    row = {"customer_id": people(a)[0]["id"], "points_amount": 5, "external_note": "once"}
    first = carry_out(a, from_row("add_points", row))
    second = carry_out(b, from_row("add_points", row))
    assert states(first) == ["done"]
    assert [planned.decision for planned in second.plan.rows] == ["done"]
    assert len(landed(a, "once")) == 1


def test_of_two_applies_at_once_one_sends(a: Store, b: Store) -> None:
    row = {"customer_id": people(a)[0]["id"], "points_amount": 5, "external_note": "once"}
    carry_out(a, from_row("add_points", {**row, "points_amount": 1, "external_note": "before"}))

    def confirm(_plan: object) -> bool:
        assert states(carry_out(b, from_row("add_points", row))) == ["done"]
        return True

    with pytest.raises(StateMoved), opened(a) as desk:
        apply(desk, from_row("add_points", row), Watcher(confirm=confirm))
    again = carry_out(a, from_row("add_points", row))
    assert [planned.decision for planned in again.plan.rows] == ["done"]
    assert len(landed(a, "once")) == 1


def test_apply_stops_before_the_next_request_when_another_machine_takes_over(a: Store, b: Store) -> None:
    rows = [
        {"customer_id": each["id"], "points_amount": 5, "external_note": "many"} for each in people(a)[:4]
    ]
    sent: list[int] = []

    def progress(count: int, _total: int) -> None:
        sent.append(count)
        if count == 2:
            carry_out(b, from_csv(b, "add_points", rows))

    with pytest.raises(StateMoved, match="Another machine"), opened(a) as desk:
        apply(desk, from_csv(a, "add_points", rows), Watcher(progress=progress))
    assert max(sent) == 2
    assert len(landed(a, "many")) == 4


def test_request_does_not_leave_if_it_cannot_be_recorded_in_the_state(a: Store, b: Store, s3: S3) -> None:
    row = {"customer_id": people(a)[0]["id"], "points_amount": 5, "external_note": "denied"}

    def confirm(_plan: object) -> bool:
        s3.fails = lambda method, _path: (403, "AccessDenied") if method == "PUT" else None
        return True

    with pytest.raises(RivoError, match="S3 denies access"), opened(a) as desk:
        apply(desk, from_row("add_points", row), Watcher(confirm=confirm))
    assert landed(a, "denied") == []
    s3.fails = lambda _method, _path: None
    assert states(carry_out(b, from_row("add_points", row))) == ["done"]
    assert len(landed(a, "denied")) == 1


def _apply_and_die(options: dict[str, Any], row: dict[str, Any]) -> None:
    answered = sending.send_change

    def dies(*arguments: Any, **keywords: Any) -> None:
        answered(*arguments, **keywords)
        os.kill(os.getpid(), signal.SIGKILL)

    sending.send_change = dies  # type: ignore[assignment]
    with applying(make_settings(**options)) as desk:
        apply(desk, from_row("add_points", row), Watcher())


def test_action_of_a_machine_that_died_is_found_by_the_other_and_not_repeated(
    a: Store, b: Store, s3: S3
) -> None:
    row = {"customer_id": people(a)[0]["id"], "points_amount": 5, "external_note": "dead"}
    options = {
        "api_key": a.server.key,
        "api_url": a.server.url,
        "warehouse": str(a.path),
        **a.options,
    }
    child = Child(_apply_and_die, options, row, environment=s3.environment)
    assert child.end() == -9
    # Nothing of the machine is left.
    shutil.rmtree(a.path.parent)
    assert pointer(s3)["parts"].keys() == {"outbox"}
    found = carry_out(b, from_row("add_points", row))
    assert [entry.state for entry in found.resolved] == ["done"]
    assert len(landed(b, "dead")) == 1
    assert _states_on(b) == ["done"]


def test_sync_that_began_before_an_apply_of_another_machine_is_discarded(a: Store, b: Store) -> None:
    _sync(a)
    row = {"customer_id": people(a)[0]["id"], "points_amount": 5, "external_note": "between"}

    def prepare(_work: object) -> None:
        carry_out(b, from_row("add_points", row))

    with pytest.raises(StateMoved):
        a.run(None, prepare)
    assert states(carry_out(a, from_row("add_points", {**row, "points_amount": 6}))) == ["done"]
    assert _states_on(a) == ["done", "done"]


def test_build_and_apply_of_one_machine_share_its_state(a: Store, b: Store) -> None:
    _sync(a)
    row = {"customer_id": people(a)[0]["id"], "points_amount": 5, "external_note": "beside"}

    def confirm(_plan: object) -> bool:
        # As `rivo models build`, which does not wait for actions.
        with Warehouse.of_shop(a.settings).build() as work:
            work.connection.execute("create table numbers (n integer)")
            work.publish()
        return True

    with opened(a) as desk:
        applied = apply(desk, from_row("add_points", row), Watcher(confirm=confirm))
    assert applied
    assert states(applied) == ["done"]
    assert states(carry_out(b, from_row("add_points", {**row, "points_amount": 7}))) == ["done"]
    assert _states_on(b) == ["done", "done"]
    assert numbers_of(b.path) == []
