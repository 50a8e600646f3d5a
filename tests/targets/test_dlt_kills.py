"""Publications by dlt that are killed or fail: the next one leaves the rows of the file, whatever was sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.targets.dlt_destination import Load, OpenedDestination
from tests.targets.dlt_destinations import DltDestination, Shop, look_often
from tests.targets.killing import Child

SCHEMAS = ("marts",)
TABLES = ("marts.ledger", "marts.day")
MOMENTS = {"duckdb": (70,), "delta": (20, 49, 55)}
"""Of the about 150 and 60 moves of files in a publication, those at which it is killed: in the tables, after them."""


def publish_shop(folder: Path, destination: DltDestination) -> None:
    """Publish a shop; for a process of its own."""
    look_often()
    assert Shop(folder).publish(destination, schemas=SCHEMAS).problem == ""


def made_shop(folder: Path) -> Shop:
    shop = Shop.made(folder, 1200)
    shop.do("create table marts.day as select 0 as day")
    return shop


def change(shop: Shop, day: int) -> None:
    shop.do(
        f"update marts.ledger set email = 'd{day}' where id = 1000; update marts.day set day = {day}; "
        f"insert into marts.ledger (id) values ({5000 + day}); delete from marts.ledger where id = 2800"
    )


def change_back(shop: Shop) -> None:
    shop.do(
        "update marts.ledger set email = 'as before' where id = 1000; update marts.day set day = 0; "
        "delete from marts.ledger where id >= 5000 or id = 2800; insert into marts.ledger (id) values (2800)"
    )


@pytest.mark.parametrize("destination", MOMENTS, indirect=True)
def test_next_publication_repairs_what_a_killed_one_left(destination: DltDestination, tmp_path: Path) -> None:
    shop = made_shop(tmp_path / "shop")
    environment = {name: value for name, value in os.environ.items() if name.startswith("DESTINATION__")}
    for number, moment in enumerate(MOMENTS[destination.kind]):
        change_back(shop)
        assert shop.publish(destination, schemas=SCHEMAS).problem == ""
        shop.check(destination, *TABLES)
        change(shop, moment)
        child = Child(publish_shop, shop.folder, destination, environment=environment, rename=moment)
        assert child.end() == -9
        if number % 2:
            change(shop, moment + 1)
    change_back(shop)
    assert shop.publish(destination, schemas=SCHEMAS).problem == ""
    shop.check(destination, *TABLES)


@pytest.mark.parametrize(
    ("destination", "step", "first"),
    [
        ("duckdb", "write", False),
        ("delta", "write", True),
        ("delta", "finish", False),
    ],
    indirect=["destination"],
)
def test_rows_that_are_again_as_in_the_mark_are_sent_after_a_failure(
    destination: DltDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, first: bool
) -> None:
    """The mark of the last publication fits the rows of the file, but the destination has those of the failed one."""
    shop = made_shop(tmp_path / "shop")
    change_back(shop)
    if not first:
        assert shop.publish(destination, schemas=SCHEMAS).problem == ""
    change(shop, 1)
    with monkeypatch.context() as broken:

        def fails(*_: object) -> None:
            raise OSError("the network is gone")

        for kind in ("MetaTables", "MetaFiles"):
            broken.setattr(f"pipelines.targets.dlt_meta.{kind}.{step}", fails)
        assert "the network is gone" in shop.publish(destination, schemas=SCHEMAS).problem
    change_back(shop)
    assert shop.publish(destination, schemas=SCHEMAS).problem == ""
    shop.check(destination, *TABLES)
    again = shop.publish(destination, schemas=SCHEMAS)
    assert (again.problem, again.written) == ("", 0)


@pytest.mark.parametrize("destination", ["duckdb", "parquet"], indirect=True)
def test_of_two_publications_at_once_one_fails_and_the_next_sends_all(
    tmp_path: Path, destination: DltDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = made_shop(tmp_path / "older"), made_shop(tmp_path / "newer")
    older.publish(destination, schemas=SCHEMAS)
    change(older, 1)
    for day in (1, 2):
        newer.next_day()
        change(newer, day)
    load = OpenedDestination.load
    others = iter([lambda: newer.publish(destination, schemas=SCHEMAS)])

    def load_after_the_other(self: OpenedDestination, dataset: str, loads: list[Load]) -> None:
        if dataset == "marts":
            for publish in others:
                assert publish().problem == ""
        load(self, dataset, loads)

    monkeypatch.setattr(OpenedDestination, "load", load_after_the_other)
    overtaken = older.publish(destination, schemas=SCHEMAS)
    assert "another process has published to it at the same time" in overtaken.problem
    assert newer.publish(destination, schemas=SCHEMAS).problem == ""
    newer.check(destination, *TABLES)
    assert newer.publish(destination, schemas=SCHEMAS).written == 0
