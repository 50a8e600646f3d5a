"""The outbox: its lock, its loss, backups, erased people; and files with wrong rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.actions.erasing import erase_again_from_outbox, erase_from_outbox
from pipelines.actions.outbox_file import open_outbox
from pipelines.errors import RivoError, WarehouseError
from pipelines.privacy.erasure import erase
from pipelines.privacy.redaction import Redactor
from pipelines.warehouse.backup import backup, read_backup, restore_outbox
from runs.action_rows import from_file, from_row
from runs.actions import times_done
from tests.harness.actions import (
    carry_out,
    desk_of,
    from_csv,
    landed,
    opened,
    outbox_of,
    people,
    write,
)
from tests.harness.store import Store, project


def test_second_apply_is_refused_while_one_runs(store: Store) -> None:
    with (
        opened(store),
        pytest.raises(WarehouseError, match="Another command is applying actions"),
        opened(store),
    ):
        pass


def test_lost_outbox_is_filled_from_the_warehouse(store: Store) -> None:
    store.sync()
    row = {"customer_id": people(store)[0]["id"], "points_amount": 3, "credits_amount": 1.5}
    definition = from_row("add_points", row)
    [entry] = carry_out(store, definition).entries
    store.selection = "stg_rivo__actions"
    store.build()
    for file in outbox_of(store).parent.glob("*.outbox.sqlite*"):
        file.unlink()
    again = carry_out(store, definition)
    assert [row.decision for row in again.plan.rows] == ["done"]
    with open_outbox(outbox_of(store)) as outbox:
        kept = outbox.entry(entry.action_id)
    # The copy has no data that only an open action needs.
    assert replace(entry, sent_clock=None, points_before=None) == kept


def test_backup_has_the_outbox_and_a_restore_keeps_a_present_one(store: Store, tmp_path: Path) -> None:
    store.sync()
    definition = from_row("add_points", {"customer_id": people(store)[0]["id"], "points_amount": 3})
    carry_out(store, definition)
    made = backup(store.warehouse, "shop", tmp_path / "backup")
    assert not restore_outbox(made, store.warehouse), "there is one"
    for file in outbox_of(store).parent.glob("*.outbox.sqlite*"):
        file.unlink()
    assert restore_outbox(read_backup(made.folder), store.warehouse)
    assert [row.decision for row in carry_out(store, definition).plan.rows] == ["done"]
    (made.folder / "outbox.sqlite").write_bytes(b"other")
    with pytest.raises(RivoError, match="the content of the outbox differs"):
        read_backup(made.folder)


def test_person_erased_after_the_backup_is_erased_from_a_restored_outbox(
    store: Store, tmp_path: Path
) -> None:
    store.sync()
    store.options["pii_key"] = "a-key-that-cannot-be-guessed"
    person, other = people(store)[:2]
    rows = [{"customer_id": each["id"], "points_amount": 4} for each in (person, other)]
    carry_out(store, from_csv(store, "add_points", rows))
    made = backup(store.warehouse, "shop", tmp_path / "backup")
    erased = store.change(lambda work: erase(work, store.settings, str(person["id"])))
    for file in outbox_of(store).parent.glob("*.outbox.sqlite*"):
        file.unlink()
    restore_outbox(made, store.warehouse)
    with store.warehouse.read() as connection:
        erase_again_from_outbox(outbox_of(store), Redactor(connection, store.settings))
    with open_outbox(outbox_of(store)) as outbox:
        assert [outbox.entry(id).customer_id for id in (1, 2)] == [erased.key, other["id"]]


def test_single_action_can_be_repeated_on_purpose(store: Store) -> None:
    row = {"customer_id": people(store)[0]["id"], "points_amount": 3, "external_note": "twice"}
    carry_out(store, from_row("add_points", row))
    assert carry_out(store, from_row("add_points", row)).entries == []
    with desk_of(store) as looked:
        times = times_done(looked, "add_points", row)
    assert times == 1
    carry_out(store, from_row("add_points", row, repeat=times))
    assert len(landed(store, "twice")) == 2


def test_looking_at_a_plan_writes_nothing(store: Store) -> None:
    store.server.requests.clear()
    with desk_of(store) as looked:
        looked.plan(from_row("add_points", {"customer_id": 1, "points_amount": 1}))
    assert not outbox_of(store).exists()
    assert store.server.requests == []


def test_person_is_erased_from_the_outbox(store: Store) -> None:
    store.sync()
    person, other = people(store)[:2]
    rows = [
        {
            "customer_id": each["id"],
            "points_amount": 4,
            "external_note": f"Dear {each['first_name']}",
            "who": each["email"],
        }
        for each in (person, other)
    ]
    carry_out(store, from_csv(store, "add_points", rows))
    store.options["pii_key"] = "a-key-that-cannot-be-guessed"
    with store.warehouse.build() as work:
        erased = erase(work, store.settings, str(person["id"]))
    assert erase_from_outbox(outbox_of(store), erased) == 1
    content = b"".join(file.read_bytes() for file in outbox_of(store).parent.glob("*.outbox.sqlite*"))
    for text in (str(person["id"]), f"Dear {person['first_name']}"):
        assert text.encode() not in content
    assert str(other["id"]).encode() in content
    with open_outbox(outbox_of(store)) as outbox:
        assert [outbox.entry(id).customer_id for id in (1, 2)] == [erased.key, other["id"]]
    assert erase_from_outbox(outbox_of(store), erased) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("customer_id,points\n1,5\n", "Did you mean points_amount"),
        ("points_amount\n5\n", "needs the column customer_id"),
        ("customer_id,points_amount\n1\n", "line 2 has another number of values"),
        ("", "the first line must name each column once"),
        ("customer_id,customer_id\n1,2\n", "the first line must name each column once"),
    ],
)
def test_wrong_file_is_refused_before_anything_is_sent(text: str, message: str, store: Store) -> None:
    file = store.path.parent / "wrong.csv"
    file.write_text(text)
    with pytest.raises(RivoError, match=message):
        carry_out(store, from_file(project(), "add_points", file, []))
    with pytest.raises(RivoError, match=r"missing.csv cannot be read \(No such file or directory\)"):
        from_file(project(), "add_points", file.with_name("missing.csv"), [])
    with pytest.raises(RivoError, match="There is no action no_such_thing"):
        from_file(project(), "no_such_thing", write(store, [{"customer_id": 1}]), [])
