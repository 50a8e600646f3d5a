"""Loading deliveries into `rivo_raw.webhook_events`, what the journal keeps afterwards, and erased people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import SettingsError
from pipelines.privacy.erasure import erase
from pipelines.privacy.redaction import apply_setting
from pipelines.settings import Settings
from pipelines.warehouse import RAW, Warehouse
from pipelines.warehouse.raw_tables import ensure_tables, write_settings
from pipelines.webhooks.deliveries import KEEP_DAYS, erase_person
from pipelines.webhooks.loading import load_deliveries
from sandbox import Event
from tests.harness.deliveries import change, journal, keep
from tests.harness.settings import make_settings

PII_KEY = "a-key-that-cannot-be-guessed"
ADA, BOB = 7_198_630_248_648, 7_198_630_248_649


def upgrade(customer: int, name: str, tier: int = 552_288, id: str = "") -> Event:
    body = {
        "event_type": "customer_vip_tier/upgraded",
        "vip_tier_id": tier,
        "started_at": "2026-10-05T06:00:00.000Z",
        "customer": {"id": customer, "email": f"{name}@shop.example", "first_name": name.title()},
        "vip_tier": {"id": tier, "name": "Silver"},
    }
    return Event("customer_vip_tier/upgraded", body, id or f"w-{name}-{tier}")


@dataclass
class Shop:
    """A warehouse that only deliveries are loaded into."""

    path: Path

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.path)

    def settings(self, **values: Any) -> Settings:
        return make_settings(webhook_secret="whsec", pii_key=PII_KEY, **values)

    def load(self, publish: bool = True, keeps_bodies: bool = False, **values: Any) -> int:
        """Load what is in the journal; return the number of new rows."""
        settings = self.settings(**values)
        with self.warehouse.build() as work:
            ensure_tables(work.connection)
            write_settings(work.connection, settings.timezone)
            apply_setting(work, settings)
            new = load_deliveries(work, settings, keeps_bodies=keeps_bodies).rows_new
            if publish:
                work.publish()
        return new

    def erase(self, customer: object) -> int:
        """Erase a person as `rivo forget` does; return the pseudonym."""
        with self.warehouse.build() as work:
            person = erase(work, self.settings(), str(customer))
            erased = work.connection.execute(
                f"select identifier, customer_key, key_check from {RAW}._forgotten"
            ).fetchall()
            erase_person(self.warehouse, person.words, person.id, person.key, erased)
            work.publish()
        return person.key

    def query(self, columns: str, condition: str = "true") -> list[tuple[Any, ...]]:
        with self.warehouse.read() as connection:
            return connection.execute(
                f"select {columns} from rivo_raw.webhook_events where {condition} order by all"
            ).fetchall()

    def holds(self, *words: str) -> list[str]:
        """Return the files beside the warehouse whose bytes hold one of the words."""
        return [
            file.name
            for file in self.path.parent.iterdir()
            if any(word.encode() in file.read_bytes() for word in words)
        ]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop" / "rivo.duckdb")


def test_deliveries_are_loaded_once_with_typed_columns(shop: Shop) -> None:
    keep(shop.path, shop.settings(), [upgrade(ADA, "ada"), upgrade(BOB, "bob")])

    assert [shop.load(), shop.load()] == [2, 0]

    [row, _] = shop.query(
        "delivery_id, topic, form, started_at, customer_id, vip_tier_id, body ->> 'vip_tier_id'"
    )
    assert row == (
        "w-ada-552288",
        "customer_vip_tier/upgraded",
        "id_time_body",
        datetime(2026, 10, 5, 6, tzinfo=UTC),
        ADA,
        552_288,
        "552288",
    )


def test_warehouse_without_a_journal_gets_an_empty_table_and_no_journal(shop: Shop) -> None:
    assert shop.load() == 0

    assert shop.query("count(*)") == [(0,)]
    assert not shop.path.with_name("rivo.webhooks.sqlite").exists()


def test_body_leaves_the_journal_only_after_it_was_published(shop: Shop) -> None:
    keep(shop.path, shop.settings(), [upgrade(ADA, "ada")])
    bodies = "select count(body), count(*) from deliveries"

    shop.load(publish=False)
    shop.load(publish=False)
    assert journal(shop.path, bodies) == [(1, 1)]
    shop.load()
    assert journal(shop.path, bodies) == [(1, 1)], "published, but perhaps not on the disk yet"
    shop.load(keeps_bodies=True)
    assert journal(shop.path, bodies) == [(1, 1)], "a restore begins with another file than the published one"

    shop.load()

    assert journal(shop.path, bodies) == [(0, 1)]
    assert shop.holds("ada@shop.example") == ["rivo.duckdb"]
    assert shop.query("body is not null") == [(True,)]


def test_result_that_was_not_published_leaves_bodies_in_the_journal(shop: Shop) -> None:
    shop.load()
    keep(shop.path, shop.settings(), [upgrade(ADA, "ada")])
    with shop.warehouse.build() as work:
        load_deliveries(work, shop.settings())
        work.keep()

    shop.load(publish=False)

    assert journal(shop.path, "select count(body) from deliveries") == [(1,)]


def test_late_repetition_is_known_after_the_journal_has_dropped_the_delivery(shop: Shop) -> None:
    event = upgrade(ADA, "ada")
    keep(shop.path, shop.settings(), [event])
    shop.load()
    long_ago = (datetime.now(UTC) - timedelta(days=KEEP_DAYS + 1)).isoformat()
    change(shop.path, f"update deliveries set received_at = '{long_ago}'")
    shop.load()
    assert journal(shop.path, "select count(*) from deliveries") == [(0,)]

    assert keep(shop.path, shop.settings(), [event]) == [True]

    assert shop.load() == 0
    assert shop.query("count(*)") == [(1,)]


@pytest.mark.parametrize("pii", ["hash", "drop"])
def test_change_of_rivo_pii_converts_the_journal_and_the_table(shop: Shop, pii: str) -> None:
    keep(shop.path, shop.settings(), [upgrade(ADA, "ada")])
    shop.load()
    keep(shop.path, shop.settings(), [upgrade(BOB, "bob")])
    with shop.warehouse.build() as work:
        # Otherwise the warehouse counts as empty, and the setting as new.
        work.connection.execute(f"insert into {RAW}.sync_log (list, complete) values ('customers', true)")
        work.publish()
    assert shop.holds("shop.example")

    shop.load(pii=pii)

    assert shop.holds("shop.example", "Ada", "Bob") == []
    assert shop.query("customer_id, body ->> 'vip_tier_id'") == [(ADA, "552288"), (BOB, "552288")]
    assert journal(shop.path, "select distinct substr(pii, 1, 4) from deliveries") == [(pii,)]


def test_erased_person_leaves_the_journal_and_the_table(shop: Shop) -> None:
    keep(shop.path, shop.settings(), [upgrade(ADA, "ada"), upgrade(BOB, "bob")])
    shop.load()
    friend = Event("referral/completed", {"id": 5, "advocate_email": "ADA@shop.example"}, "w-referral")
    keep(shop.path, shop.settings(), [upgrade(ADA, "ada", 552_300), friend])
    shop.load()
    keep(shop.path, shop.settings(), [upgrade(ADA, "ada", 552_311)])
    with shop.warehouse.build() as work:
        work.connection.execute(f"insert into {RAW}.customers (id, email) values ({ADA}, 'ada@shop.example')")
        work.publish()

    key = shop.erase("ada@shop.example")
    shop.load()

    assert shop.holds(str(ADA), "ada@shop.example", "ADA@shop.example", "Ada") == []
    assert shop.query("vip_tier_id", f"customer_id = {key} and body is null") == [
        (552_288,),
        (552_300,),
        (552_311,),
    ]
    assert shop.query("customer_id, body is null", "vip_tier_id is null") == [(None, True)]
    assert shop.query("body ->> '$.customer.email'", f"customer_id = {BOB}") == [("bob@shop.example",)]


def test_later_delivery_for_an_erased_person_is_kept_under_the_pseudonym(shop: Shop) -> None:
    keep(shop.path, shop.settings(), [upgrade(ADA, "ada")])
    shop.load()
    key = shop.erase(ADA)

    assert keep(shop.path, shop.settings(), [upgrade(ADA, "ada", 552_300)]) == [True]

    assert shop.holds(str(ADA), "ada@shop.example") == []
    shop.load()
    assert shop.query("customer_id, vip_tier_id") == [(key, 552_288), (key, 552_300)]
    assert shop.holds(str(ADA), "ada@shop.example") == []


def test_person_erased_before_there_was_a_journal_is_not_loaded(shop: Shop) -> None:
    shop.load()
    with shop.warehouse.build() as work:
        work.connection.execute(f"insert into {RAW}.customers (id, email) values ({ADA}, 'ada@shop.example')")
        work.publish()
    key = shop.erase(ADA)
    keep(shop.path, shop.settings(), [upgrade(ADA, "ada")])
    assert shop.holds(str(ADA)) == ["rivo.webhooks.sqlite"]

    shop.load()

    assert shop.query("customer_id, body") == [(key, None)]
    assert shop.holds(str(ADA), "ada@shop.example") == []


def test_another_pii_key_stops_receiving_and_loading(shop: Shop) -> None:
    keep(shop.path, shop.settings(), [upgrade(ADA, "ada")])
    shop.load()
    shop.erase(ADA)
    other = make_settings(pii_key="another-key-of-this-shop")

    with pytest.raises(SettingsError, match="Set RIVO_PII_KEY to that key"):
        keep(shop.path, other, [upgrade(BOB, "bob")])
    with shop.warehouse.build() as work, pytest.raises(SettingsError, match="RIVO_PII_KEY"):
        load_deliveries(work, other)
