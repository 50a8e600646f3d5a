"""Damaged values, rows and pages: what can be repaired is loaded with a warning, a row that cannot is quarantined."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from pipelines.errors import WarehouseError
from pipelines.load import landing
from pipelines.privacy.erasure import erase
from pipelines.rivo.decode import Page
from pipelines.warehouse import Warehouse
from tests.harness.shop import SmallShop, open_shop

# The lists that a test reads to see that a failing one does not stop those before and after it.
THREE = ("vip_tiers", "rewards", "earning_rules")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[SmallShop]:
    with open_shop(tmp_path / "shop" / "rivo.duckdb") as shop:
        yield shop


def others_landed(shop: SmallShop, name: str) -> bool:
    return all(result.complete for other, result in shop.results.items() if other != name)


DAMAGE = {
    "half an emoji": (rb'"first_name": "F3 \ud83d"', "F3 \ufffd", "not valid Unicode"),
    "a byte of Latin-1": (b'"first_name": "Ren\xe9"', "Ren\ufffd", "not valid Unicode"),
    "NaN": (b'"first_name": "A", "total_spent": NaN', "A", "null was loaded"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_one_damaged_value_is_repaired_and_named(shop: SmallShop, damage: str) -> None:
    text, stored, said = DAMAGE[damage]
    customer = shop.lists["customers"][7]
    customer["attributes"]["first_name"] = "MARK"
    if "total_spent" in text.decode("latin-1"):
        del customer["attributes"]["total_spent"]
    shop.raw = lambda name, body: body.replace(b'"first_name": "MARK"', text)

    finished = shop.sync("customers")

    assert finished.problems == ()
    [warning] = shop.results["customers"].warnings
    assert warning.startswith("Customers: ")
    assert f"of id {customer['id']} has" in warning
    assert said in warning
    assert shop.query(f"select first_name from rivo_raw.customers where id = {customer['id']}") == [(stored,)]
    assert shop.results["customers"].counts.rows_quarantined == 0


def test_byte_order_mark_is_skipped(shop: SmallShop) -> None:
    shop.raw = lambda _name, body: b"\xef\xbb\xbf" + body
    assert shop.sync().problems == ()
    assert shop.results["customers"].warnings == (
        "Customers: a response has a byte-order mark at its start, which was skipped.",
    )


@pytest.mark.parametrize("levels", [150, 600, 3000])
@pytest.mark.parametrize("pii", ["keep", "drop"])
@pytest.mark.parametrize("attribute", ["additional_details", "surprise"])
def test_row_nested_too_deeply_is_quarantined_alone(
    shop: SmallShop, levels: int, pii: str, attribute: str
) -> None:
    shop.options = {"pii": pii}
    deep = b'{"a":' * levels + b"1" + b"}" * levels
    row = shop.lists["referrals"][2]
    row["attributes"][attribute] = "DEEP"
    shop.raw = lambda _name, body: body.replace(b'"DEEP"', deep)

    finished = shop.sync("referrals")

    assert finished.problems == ()
    assert shop.query("select list, id from rivo_raw._quarantine") == [("referrals", row["id"])]
    [(reason,)] = shop.query("select reason from rivo_raw._quarantine")
    assert re.match(r"(the row|additional_details|surprise) is nested more than 100 levels deep", reason)
    assert len(shop.query("from rivo_raw.referrals")) == len(shop.lists["referrals"]) - 1

    del row["attributes"][attribute]
    shop.wait()
    assert shop.sync("referrals").problems == ()
    assert shop.query("from rivo_raw._quarantine") == []
    assert len(shop.query("from rivo_raw.referrals")) == len(shop.lists["referrals"])


def test_row_that_is_no_json_is_quarantined_alone(shop: SmallShop) -> None:
    row = shop.lists["rewards"][4]
    row["attributes"]["name"] = "BROKEN"
    shop.raw = lambda _name, body: body.replace(b'"BROKEN"', b"{,}")
    assert shop.sync("rewards").problems == ()
    assert shop.query("select list, id, reason from rivo_raw._quarantine") == [
        ("rewards", row["id"], "the row is not valid JSON")
    ]


def test_page_that_is_no_json_fails_its_list_and_says_where(shop: SmallShop) -> None:
    shop.options = {"patience_seconds": 0.3}
    shop.raw = lambda name, body: body[:-40] if name == "rewards" else body
    finished = shop.sync(*THREE)
    [problem] = finished.problems
    assert problem.startswith(
        "Rewards could not be read: the response to pagination[since_id]=0, pagination[limit]=250 is not valid JSON "
        "from character "
    )
    assert others_landed(shop, "rewards")


def test_nul_in_texts_is_loaded_and_blocks_nothing(shop: SmallShop) -> None:
    shop.lists["points_events"][0]["attributes"]["source"] = "order\0placed"
    customer = shop.lists["customers"][5]
    customer["attributes"]["email"] = "a\0da@example.com"

    shop.options = {"pii_key": "0" * 64}
    finished = shop.sync(models=True)
    assert (finished.published, finished.problems) == (True, ())

    with Warehouse(shop.path).build() as work:
        erase(work, shop.settings, str(customer["id"]))
        work.publish()
    assert shop.query(f"select id from rivo_raw.customers where id = {customer['id']}") == []


def test_unexpected_error_fails_one_list(shop: SmallShop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop.sync(*THREE).problems == ()
    shop.wait()
    in_batches = landing.in_batches
    rewards = {row["id"] for row in shop.lists["rewards"]}

    def failing(pages: Iterable[Page]) -> Iterator[Page]:
        for page in in_batches(pages):
            if rewards.issuperset(page.known_ids):
                raise TypeError("Ada Lovelace")
            yield page

    monkeypatch.setattr(landing, "in_batches", failing)
    finished = shop.sync(*THREE)
    [problem] = finished.problems
    assert problem.startswith("Rewards could not be loaded: TypeError in test_damaged_rows.py, line ")
    assert "Ada" not in problem, "the text of an error can quote a customer"
    assert others_landed(shop, "rewards")

    monkeypatch.undo()
    shop.wait()
    assert shop.sync(*THREE).problems == ()


NAMES = [
    "it's.duckdb",
    "50 %.duckdb",
    "why?.duckdb",
    "[a]*.duckdb",
    'q"uote.duckdb',
    "o'brien/rivo.duckdb",
    "Ü.duckdb",
]


@pytest.mark.parametrize("name", NAMES)
def test_warehouse_may_have_any_name(shop: SmallShop, tmp_path: Path, name: str) -> None:
    shop.path = tmp_path / name
    for _ in range(2):
        # One list with a history, and one that is read from where the last read ended.
        finished = shop.sync("customers", "points_events")
        assert (finished.published, finished.problems) == (True, ())
        shop.wait()


@pytest.mark.parametrize("name", ["reports", "rivo_raw", "Marts", "information_schema"])
def test_warehouse_called_like_a_schema_is_refused_before_anything_is_read(
    shop: SmallShop, tmp_path: Path, name: str
) -> None:
    shop.path = tmp_path / f"{name}.duckdb"
    with pytest.raises(Exception, match="would then mean two things") as error:
        shop.sync()
    assert type(error.value).__name__ == "SettingsError"
    assert shop.stub
    assert shop.stub.asked == []


def test_folder_for_temporary_files_with_a_special_name_is_refused(
    shop: SmallShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "it's"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    shop.path = folder / "rivo.duckdb"
    with pytest.raises(WarehouseError, match="Set TMPDIR to a folder with a plain name"):
        shop.sync()
