"""Repair of responses that are not quite valid JSON."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.rivo.decode import json_text
from pipelines.rivo.repair import (
    HAS_MARK,
    MOST_LEVELS,
    NOT_A_NUMBER,
    NOT_TEXT,
    REPAIRS,
    UNREADABLE,
    Repair,
    decode_json,
    is_too_deep,
    sentences,
)


def body(attributes: bytes) -> bytes:
    return (
        b'{"links":{"next_since_id":null},"data":[{"id":7,"type":"customer","attributes":{%s}}]}' % attributes
    )


def attributes_of(answer: Any) -> Any:
    return answer["data"][0]["attributes"]


@pytest.mark.parametrize(
    ("text", "value", "what"),
    [
        (rb'"F3 \ud83d"', "F3 \ufffd", NOT_TEXT),
        (rb'"\ude00 F3 \ud83d\ude00"', "\ufffd F3 \U0001f600", NOT_TEXT),
        (b'"caf\xe9"', "caf\ufffd", NOT_TEXT),
        (b'"\xf0\x9f\x98"', "\ufffd\ufffd\ufffd", NOT_TEXT),
        (b"NaN", None, NOT_A_NUMBER),
        (b"-Infinity", None, NOT_A_NUMBER),
        (b"1e999", None, NOT_A_NUMBER),
        (b"9" * 5000, None, NOT_A_NUMBER),
        (b'["a", {"b": NaN}]', ["a", {"b": None}], NOT_A_NUMBER),
    ],
)
def test_damaged_value_is_repaired_and_named(text: bytes, value: Any, what: str) -> None:
    answer = decode_json(body(b'"ok":"\xc3\xa9","x":' + text))

    assert attributes_of(answer) == {"ok": "\u00e9", "x": value}
    assert set(answer[REPAIRS]) == {Repair(7, "x", what)}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_mark_is_skipped(encoding: str) -> None:
    answer = decode_json(body(b'"x":"\xc3\xa9"').decode().encode(encoding))

    assert attributes_of(answer) == {"x": "\u00e9"}
    assert answer[REPAIRS] == [Repair(None, "", HAS_MARK)]


def test_valid_json_is_decoded_without_repairs() -> None:
    text = body(rb'"x":"\ud83d\ude00","y":[1.5,null,true],"z":"\u0000"')
    assert decode_json(text) == json.loads(text)


@pytest.mark.parametrize(
    "text", [b"", b"<html>", b"{", body(b'"x":1')[:-3], body(b'"x":"open')[:-4], b"[1,,2]"]
)
def test_what_is_no_json_at_all_is_an_error(text: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        decode_json(text)


@pytest.mark.parametrize("row", [b'"x":{,}', b'"x":' + b"[" * 5000 + b"]" * 5000, b'"x":nil'])
def test_row_that_cannot_be_decoded_becomes_an_unreadable_one(row: bytes) -> None:
    answer = decode_json(body(row))

    assert answer["links"] == {"next_since_id": None}
    [found] = answer["data"]
    assert found["id"] == 7
    assert found[UNREADABLE]
    assert found["text"].startswith('{"id":7,"type":"customer"')


def test_large_integers_in_a_repaired_response_can_be_written_again() -> None:
    answer = decode_json(body(b'"x":NaN,"y":9223372036854775807,"z":-123456789012345678901234567890'))
    assert attributes_of(answer) == {"x": None, "y": 9223372036854775807, "z": -1.2345678901234568e29}
    assert orjson.loads(json_text(answer["data"][0])) == answer["data"][0]


def test_nesting_in_a_repaired_row_is_limited() -> None:
    deep = b"[" * (MOST_LEVELS + 1) + b"]" * (MOST_LEVELS + 1)
    [found] = decode_json(body(b'"x":NaN,"y":' + deep))["data"]
    assert found["id"] == 7
    assert "nested" in found[UNREADABLE]


@given(
    st.recursive(st.none() | st.text('[]{}"\\\\x'), lambda inner: st.lists(inner, max_size=3)),
    st.integers(0, 130),
)
def test_depth_is_counted_outside_of_texts(value: Any, levels: int) -> None:
    def depth(each: Any) -> int:
        return 1 + max(map(depth, each), default=0) if isinstance(each, list) else 0

    for _ in range(levels):
        value = [value, "]]"]
    assert is_too_deep(orjson.dumps(value)) == (depth(value) > MOST_LEVELS)


def test_sentences_name_the_first_place_of_each_kind() -> None:
    repairs = [
        Repair(7, "first_name", NOT_TEXT),
        Repair(8, "last_name", NOT_TEXT),
        Repair(9, "x", NOT_A_NUMBER),
    ]
    assert sentences("Customers", [*repairs, Repair(None, "", HAS_MARK), Repair(None, "", HAS_MARK)]) == [
        f"Customers: first_name of id 7 and 1 other value have {NOT_TEXT}.",
        f"Customers: x of id 9 has {NOT_A_NUMBER}.",
        f"Customers: a response has {HAS_MARK}.",
    ]
