"""Objects in S3 and in a folder: put once, pointers written under a condition, errors as sentences."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from pipelines.errors import RivoError, SettingsError
from pipelines.objects import NoObject, Objects, ObjectsError, PointerMoved, open_objects
from pipelines.objects.s3 import Bucket
from tests.targets.s3 import BUCKET, KEY_ID, S3, SECRET

Opened = Callable[[], Objects]


@pytest.fixture(params=["s3", "folder"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    if request.param == "s3":
        request.getfixturevalue("s3")
        return lambda: open_objects(f"s3://{BUCKET}/a/prefix/", "RIVO_STATE", tmp_path)
    return lambda: open_objects("kept/here", "RIVO_STATE", tmp_path)


def _file(folder: Path, content: bytes = b"content") -> Path:
    path = folder / "file"
    path.write_bytes(content)
    return path


def test_a_file_is_put_once(opened: Opened, tmp_path: Path) -> None:
    objects = opened()
    objects.put(_file(tmp_path), "x/one.bin")
    with pytest.raises(ObjectsError, match="never replaced"):
        objects.put(_file(tmp_path, b"other"), "x/one.bin")
    objects.get("x/one.bin", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"content"
    with pytest.raises(NoObject):
        objects.get("x/two.bin", tmp_path / "got")


def test_objects_are_listed_with_their_age_and_deleted(opened: Opened, tmp_path: Path) -> None:
    objects = opened()
    for key in ("x/1", "x/2", "xy/3", "y/4"):
        objects.put(_file(tmp_path), key)
    found = {each.key: each for each in objects.list("x/")}
    assert sorted(found) == ["x/1", "x/2"]
    assert found["x/1"].size_bytes == 7
    assert timedelta() <= found["x/1"].age < timedelta(minutes=1)
    assert sorted(each.key for each in objects.list("x")) == ["x/1", "x/2", "xy/3"]
    assert sorted(each.key for each in objects.under("x").list()) == ["1", "2"]
    objects.delete(["x/1", "x/2", "x/3"])
    assert sorted(each.key for each in objects.list()) == ["xy/3", "y/4"]


def test_a_pointer_is_only_written_over_the_version_that_was_read(opened: Opened) -> None:
    objects = opened()
    assert objects.read("current.json") is None
    first = objects.write("current.json", b"1", None)
    assert objects.read("current.json") == (b"1", first)
    with pytest.raises(PointerMoved):
        objects.write("current.json", b"other", None)
    second = objects.write("current.json", b"2", first)
    with pytest.raises(PointerMoved):
        objects.write("current.json", b"3", first)
    assert objects.read("current.json") == (b"2", second)
    objects.delete(["current.json"])
    with pytest.raises(PointerMoved):
        objects.write("current.json", b"3", second)


def test_of_many_writers_of_a_pointer_one_succeeds(opened: Opened) -> None:
    version = opened().write("current.json", b"start", None)
    won: list[bytes] = []

    def write(content: bytes) -> None:
        try:
            opened().write("current.json", content, version)
            won.append(content)
        except PointerMoved:
            pass

    threads = [threading.Thread(target=write, args=(f"{n}".encode(),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = opened().read("current.json")
    assert found
    assert won == [found[0]]


def test_a_write_whose_answer_was_lost_counts_as_written(s3: S3, tmp_path: Path) -> None:
    objects = open_objects(f"s3://{BUCKET}", "RIVO_STATE", tmp_path)
    lost: set[str] = set()

    def loses(method: str, path: str) -> bool:
        is_first = method == "PUT" and path not in lost
        lost.add(path)
        return is_first

    s3.loses_answer = loses
    objects.put(_file(tmp_path), "x/1")
    version = objects.write("current.json", b"1", None)
    lost.clear()
    objects.write("current.json", b"2", version)
    assert s3.content("x/1") == b"content"
    assert s3.content("current.json") == b"2"


def test_a_large_file_is_put_in_parts_and_never_replaces(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # S3 wants parts of 5 MB at least.
    monkeypatch.setattr("pipelines.objects.s3._PART_BYTES", 5_300_000)
    objects = open_objects(f"s3://{BUCKET}", "RIVO_STATE", tmp_path)
    content = bytes(range(256)) * 50_000
    objects.put(_file(tmp_path, content), "large")
    assert s3.content("large") == content
    with pytest.raises(ObjectsError, match="never replaced"):
        objects.put(_file(tmp_path, content), "large")
    assert not s3.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def test_parts_that_a_killed_process_left_are_deleted(opened: Opened, tmp_path: Path) -> None:
    objects = opened()
    if isinstance(objects, Bucket):
        objects.client.create_multipart_upload(Bucket=BUCKET, Key="a/prefix/half")
    else:
        (tmp_path / "kept/here/x").mkdir(parents=True)
        (tmp_path / "kept/here/x/.unfinished-1").write_bytes(b"half")
    assert list(objects.list()) == []
    # moto says of every upload that it began in 2010.
    objects.discard_unfinished(timedelta(days=30_000))
    assert _unfinished(objects, tmp_path) == 1
    objects.discard_unfinished(timedelta())
    assert _unfinished(objects, tmp_path) == 0


def _unfinished(objects: Objects, tmp_path: Path) -> int:
    if isinstance(objects, Bucket):
        return len(objects.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()))
    return len(list((tmp_path / "kept/here").rglob(".unfinished-*")))


def test_a_service_that_ignores_conditions_is_refused(s3: S3, tmp_path: Path) -> None:
    s3.ignores_conditions = True
    objects = open_objects(f"s3://{BUCKET}/p", "RIVO_STATE", tmp_path)
    with pytest.raises(ObjectsError, match="ignores If-Match"):
        objects.write("current.json", b"1", None)
    assert s3.list_keys() == []


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", "s3:PutObject"),
        (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        (400, "ExpiredToken", "expired"),
        (404, "NoSuchBucket", "no bucket lake"),
        (501, "NotImplemented", "conditional writes"),
        (418, "Teapot", "answered Teapot"),
    ],
)
def test_errors_are_sentences_without_secrets(
    s3: S3, tmp_path: Path, status: int, code: str, said: str
) -> None:
    s3.fails = lambda _method, _path: (status, code)
    objects = open_objects(f"s3://{BUCKET}/p", "RIVO_STATE", tmp_path)
    for use in (
        lambda: objects.put(_file(tmp_path), "x"),
        lambda: objects.write("current.json", b"1", None),
        lambda: list(objects.list()),
        lambda: objects.read("current.json"),
    ):
        with pytest.raises(RivoError) as caught:
            use()
        assert said in str(caught.value)
        assert SECRET not in str(caught.value)
        assert KEY_ID not in str(caught.value)
        assert caught.value.__suppress_context__


def test_an_unreachable_service_and_missing_credentials_are_sentences(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ObjectsError, match="There is no bucket nowhere"):
        open_objects("s3://nowhere/x", "RIVO_STATE", tmp_path).read("current.json")
    monkeypatch.setattr("pipelines.objects.s3._ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ObjectsError, match=r"127\.0\.0\.1 cannot be reached"):
        open_objects(f"s3://{BUCKET}", "RIVO_STATE", tmp_path).read("x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "not an address")
    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL must be"):
        open_objects(f"s3://{BUCKET}", "RIVO_STATE", tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(RivoError, match="credentials are incomplete"):
        open_objects(f"s3://{BUCKET}", "RIVO_STATE", tmp_path).read("x")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(RivoError, match="no AWS credentials"):
        open_objects(f"s3://{BUCKET}", "RIVO_STATE", tmp_path).read("x")


def test_invalid_values_are_refused_without_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in (f"s3://user:{SECRET}@bucket/x", f"s3://bucket/x?key={SECRET}", f"gs://{SECRET}", "s3:///x"):
        with pytest.raises(SettingsError, match="RIVO_STATE") as caught:
            open_objects(value, "RIVO_STATE", tmp_path)
        assert SECRET not in str(caught.value)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SettingsError, match="make install EXTRAS=s3"):
        open_objects(f"s3://{BUCKET}/x", "RIVO_STATE", tmp_path)
