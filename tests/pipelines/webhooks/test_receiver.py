"""`rivo serve webhooks`: what it answers and what it keeps, over real HTTP, killed and started again."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest

from pipelines.warehouse import Warehouse
from pipelines.warehouse.raw_tables import ensure_tables
from pipelines.webhooks.loading import load_deliveries
from pipelines.webhooks.receiver import LARGEST_BODY
from sandbox import Event, Sender
from tests.harness.deliveries import journal
from tests.harness.receiver import SECRET, Receiver, receiving
from tests.harness.settings import make_settings

ADDRESS = "ada@shop.example"


def event(number: int, topic: str = "points_event/created") -> Event:
    body = {
        "id": number,
        "points_diff": 10,
        "event_type": "some/other",
        "internal_note": "by boss@shop.example",
        "customer": {"id": 7_000_000_000_000 + number, "email": ADDRESS},
    }
    return Event(topic, body, f"w-{number}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse" / "rivo.duckdb"


@pytest.fixture
def receiver(path: Path) -> Iterator[Receiver]:
    with receiving(path) as receiver:
        yield receiver


def test_delivery_is_kept_once_with_ids_and_the_topic_of_its_header(receiver: Receiver, path: Path) -> None:
    sender = Sender(receiver.url, SECRET)

    assert [sender.send(event(1)), sender.send(event(1)), sender.send(event(2), form="older")] == [200] * 3

    rows = journal(path, "select id, topic, form, object_id, customer_id, pii, body from deliveries")
    assert [row[1:6] for row in rows] == [
        ("points_event/created", "id_time_body", 1, 7_000_000_000_001, "keep"),
        ("points_event/created", "body", 2, 7_000_000_000_002, "keep"),
    ]
    assert rows[0][0] == "w-1"
    assert str(rows[1][0]).startswith("hash:")
    assert ADDRESS in str(rows[0][6])
    assert "boss@shop.example" not in str(rows)


def test_forged_and_old_deliveries_are_refused_and_named(receiver: Receiver, path: Path) -> None:
    sender = Sender(receiver.url, SECRET)

    assert sender.send(event(1), secret="another") == 401
    assert sender.send(event(2), form="older", secret="another") == 401
    assert sender.send(event(3), age=400) == 400
    assert sender.send(event(4), age=-400) == 400

    assert journal(path, "select count(*) from deliveries") == [(0,)]
    said = receiver.stop()
    assert "made with another secret" in said
    assert "correct this machine's clock" in said
    assert SECRET not in said
    assert not [file for file in path.parent.iterdir() if SECRET.encode() in file.read_bytes()]


def request(
    receiver: Receiver, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(receiver.url).netloc, timeout=30)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_only_posts_of_usual_size_are_accepted(receiver: Receiver) -> None:
    assert request(receiver, "GET", "/webhooks")[0] == 405
    assert request(receiver, "POST", "/elsewhere")[0] == 404
    assert request(receiver, "GET", "/health") == (200, b"Ready.\n")
    assert request(receiver, "POST", "/webhooks", b"{}")[0] == 401
    assert request(receiver, "POST", "/webhooks", b"x" * (LARGEST_BODY + 1))[0] == 413


def test_body_that_is_no_object_is_recorded_without_it(receiver: Receiver, path: Path) -> None:
    sender = Sender(receiver.url, SECRET)
    for number, body in enumerate(([ADDRESS], ADDRESS, 5)):
        assert sender.send(Event("points_event/created", body, f"w-{number}")) == 200  # type: ignore[arg-type]

    assert journal(path, "select object_id, body from deliveries") == [(None, None)] * 3


@pytest.mark.parametrize("pii", ["hash", "drop"])
def test_no_address_reaches_the_disk_under_rivo_pii(pii: str, path: Path) -> None:
    with receiving(path, RIVO_PII=pii, RIVO_PII_KEY="a-key-that-cannot-be-guessed") as receiver:
        sender = Sender(receiver.url, SECRET)
        tier = event(2, "customer_vip_tier/upgraded")
        assert [sender.send(event(1)), sender.send(tier), sender.send(event(3, "x/y"), form="older")] == [
            200
        ] * 3

        assert journal(path, "select customer_id from deliveries where body is not null") == [
            (7_000_000_000_001,),
            (7_000_000_000_002,),
            (7_000_000_000_003,),
        ]
        for file in path.parent.iterdir():
            assert b"shop.example" not in file.read_bytes(), file


def test_delivery_that_cannot_be_written_is_not_answered_with_200(receiver: Receiver, path: Path) -> None:
    sender = Sender(receiver.url, SECRET)
    assert sender.send(event(1)) == 200
    files = [path.with_name(f"rivo.webhooks.sqlite{end}") for end in ("", "-wal", "-shm")]
    away = [file.rename(file.with_name(f"away-{file.name}")) for file in files]
    files[0].write_bytes(b"no database " * 100)

    assert sender.send(event(2)) == 503
    assert request(receiver, "GET", "/health")[0] == 503

    for file, saved in zip(files, away, strict=True):
        saved.rename(file)
    assert sender.send(event(2)) == 200
    assert journal(path, "select id from deliveries") == [("w-1",), ("w-2",)]
    assert "Rivo is asked to send it again" in receiver.stop()


def test_thousand_deliveries_through_two_kills_are_kept_exactly_once(receiver: Receiver, path: Path) -> None:
    random = Random(7)
    true = [(event(number), random.choice(["newer", "older"])) for number in range(1000)]
    forged = [(event(5000 + number), random.choice(["newer", "older"])) for number in range(100)]
    repeated = random.sample(true, 100)
    sent = [*((e, form, None) for e, form in true + repeated), *((e, form, "another") for e, form in forged)]
    random.shuffle(sent)
    kills = {random.randrange(100, 500), random.randrange(600, 1100)}
    sender = Sender(receiver.url, SECRET)
    killed = 0

    for number, (each, form, secret) in enumerate(sent):
        kill = threading.Timer(random.uniform(0, 0.005), receiver.process.kill) if number in kills else None
        if kill:
            kill.start()
        while True:
            try:
                status = sender.send(each, form=form, secret=secret)  # type: ignore[arg-type]
                break
            except (OSError, http.client.HTTPException):
                # As Rivo does: what got no answer is sent again.
                receiver.process.wait()
                killed += 1
                receiver.start()
        assert status == (401 if secret else 200)
    assert killed == 2

    # An id of the older form is a hash of topic and body.
    kept = journal(path, "select object_id, count(*) from deliveries group by 1 order by 1")
    assert kept == [(number, 1) for number in range(1000)]
    settings = make_settings(webhook_secret=SECRET)
    for expected in (1000, 0):
        with Warehouse(path).build() as work:
            ensure_tables(work.connection)
            loaded = load_deliveries(work, settings)
            assert (loaded.rows_new, loaded.rows_total) == (expected, 1000)
            work.publish()


def test_several_shops_have_an_address_and_a_secret_each(path: Path) -> None:
    variables = {
        "RIVO_SHOPS": "de,fr,it",
        "RIVO_WEBHOOK_SECRET": "",
        "RIVO_SHOP_DE_WEBHOOK_SECRET": SECRET,
        "RIVO_SHOP_FR_WEBHOOK_SECRET": "whsec-of-fr-0123456789",
    }
    with receiving(path, **variables) as receiver:
        base = receiver.url.removesuffix("/webhooks")
        de, fr = (
            Sender(f"{base}/de/webhooks", SECRET),
            Sender(f"{base}/fr/webhooks", "whsec-of-fr-0123456789"),
        )
        assert [de.send(event(1)), fr.send(event(1)), de.send(event(2))] == [200] * 3
        assert Sender(f"{base}/fr/webhooks", SECRET).send(event(3)) == 401
        assert [Sender(f"{base}/{path}", SECRET).send(event(3)) for path in ("webhooks", "it/webhooks")] == [
            404
        ] * 2
        said = receiver.stop()
    shops = path.parent / "shops"
    found = {
        name: journal(shops / f"{name}.duckdb", "select object_id from deliveries order by 1")
        for name in ("de", "fr")
    }
    assert found == {"de": [(1,), (2,)], "fr": [(1,)]}
    assert "fr: Refused a delivery" in said


def test_shop_without_a_secret_is_named_and_the_others_receive(path: Path) -> None:
    with receiving(
        path, RIVO_SHOPS="de,fr", RIVO_WEBHOOK_SECRET="", RIVO_SHOP_DE_WEBHOOK_SECRET=SECRET
    ) as receiver:
        assert Sender(receiver.url.replace("/webhooks", "/de/webhooks"), SECRET).send(event(1)) == 200
        assert "RIVO_SHOP_FR_WEBHOOK_SECRET is not set" in receiver.said
