"""`rivo actions` on the command line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.actions.outbox_file import open_outbox
from sandbox import ProgramOptions
from tests.harness.store import Store, open_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("actions") / "warehouse" / "rivo.duckdb"
    options = {"settle_seconds": 0.0}
    with open_store(path, ProgramOptions(customers=30, months=3), options=options) as store:
        store.sync()
        yield store


def members(store: Store) -> list[dict[str, Any]]:
    rows = [row["attributes"] for row in store.objects("customers").values()]
    return [row for row in rows if row["loyalty_status"] == "member"]


@pytest.fixture
def people(store: Store) -> Path:
    file = store.path.parent / "people.csv"
    first, second = members(store)[:2]
    file.write_text(
        "customer_id,points_amount,external_note,campaign\n"
        f"{first['id']},50,Thank you,may\n{second['id']},70,Thank you,may\n{first['id']},x,Thank you,may\n"
    )
    return file


def test_plan_shows_who_gets_what_and_sends_nothing(store: Store, people: Path) -> None:
    before = len(store.objects("points_events"))
    shown = store.rivo("actions", "plan", "add_points", "--from", str(people))
    assert shown.returncode == 0, shown.stderr
    assert "Add points in Rivo: add_points" in shown.stdout
    assert "2 to send: 120 points, value unknown" in shown.stdout
    assert "1 left out because points_amount is 'x', not a whole number of points" in shown.stdout
    assert "The shopper sees external_note." in shown.stdout
    assert "Nothing was sent." in shown.stdout
    exported = store.rivo("actions", "plan", "add_points", "--from", str(people), "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(exported)))
    assert [(row["decision"], row["points_amount"], row["campaign"]) for row in rows] == [
        ("ready", "50", "may"),
        ("ready", "70", "may"),
        ("left_out", "", ""),
    ]
    assert len(store.objects("points_events")) == before


def test_apply_asks_unless_it_is_told_not_to(store: Store, people: Path) -> None:
    before = len(store.objects("points_events"))
    command = ("actions", "apply", "add_points", "--from", str(people))
    asked = store.rivo(*command)
    assert (asked.returncode, len(store.objects("points_events"))) == (2, before)
    assert "There is no terminal to ask on. Add --yes" in asked.stderr
    sent = store.rivo(*command, "--yes")
    assert sent.returncode == 0, sent.stderr
    assert "2 done." in sent.stdout
    assert len(store.objects("points_events")) == before + 2
    again = store.rivo(*command, "--yes")
    assert (again.returncode, len(store.objects("points_events"))) == (0, before + 2)
    assert "2 done before" in again.stdout
    assert "Nothing to send." in again.stdout


def test_single_actions_and_their_errors(store: Store) -> None:
    member = members(store)[3]
    id, tier = str(member["id"]), str(next(iter(store.objects("vip_tiers"))))
    done = [
        store.rivo("actions", "add-points", member["email"], "5", "--note", "Hello", "--yes"),
        store.rivo("actions", "add-points", id, "5", "--note", "Hello", "--again", "--yes"),
        store.rivo("actions", "update-customer", id, "--dob", "02-29", "--yes"),
        store.rivo("actions", "set-vip-tier", id, tier, "--yes"),
    ]
    assert [each.returncode for each in done] == [0] * 4, [each.stdout for each in done]
    repeated = store.rivo("actions", "add-points", id, "5", "--note", "Hello", "--yes")
    assert "1 done before" in repeated.stdout
    assert "use --again" in repeated.stdout
    negative = store.rivo("actions", "add-points", "--yes", "--", id, "-1000000")
    assert "the balance would become negative" in negative.stdout
    unknown = store.rivo("actions", "refund-redemption", "1", "--yes")
    assert unknown.returncode == 1
    assert "Could not find a points redemption with that ID." in unknown.stdout
    assert "set RIVO_CALL_REFUND_REDEMPTION" in unknown.stdout
    for wrong in (
        ("apply", "no_such"),
        ("apply", "add_points"),
        ("plan", "add_points", "--from", "missing.csv"),
    ):
        said = store.rivo("actions", *wrong)
        assert said.returncode == 1
        assert said.stderr.startswith("Error: ")
        assert "Traceback" not in said.stderr


def test_list_shows_the_actions_of_the_project_and_what_was_sent(store: Store) -> None:
    shown = store.rivo("actions", "list")
    assert shown.returncode == 0, shown.stderr
    rows = {line.split()[0]: line.split() for line in shown.stdout.splitlines() if line.strip()}
    assert rows["welcome_new_tier"][1:6] == ["add_points", "no", "0", "0", "0"]
    disabled = store.rivo("actions", "apply", "welcome_new_tier", "--yes")
    assert (disabled.returncode, "welcome_new_tier is disabled" in disabled.stderr) == (1, True)


def test_damaged_outbox_is_reported_in_a_sentence(store: Store, tmp_path: Path) -> None:
    other = store.with_warehouse("damaged")
    other.sync()
    other.warehouse.outbox.write_bytes(b"this is not a database at all, however long it is" * 40)
    said = other.rivo("actions", "add-points", "1", "5", "--yes")
    assert said.returncode == 1
    assert "is damaged" in said.stderr
    assert "Traceback" not in said.stderr
    assert other.rivo("status").returncode in (0, 4)


def test_key_is_written_nowhere(store: Store) -> None:
    with open_outbox(store.warehouse.outbox) as outbox:
        assert outbox.count()
    for file in store.path.parent.rglob("*"):
        if file.is_file():
            assert store.server.key.encode() not in file.read_bytes(), file
