"""Typed and generic decoding of a page give the same rows."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rivo.arrow import Batch, Rejected, batch, to_table, undeclared
from pipelines.rivo.columns import Column
from pipelines.rivo.decode import Page, PageDecoder, TypedRow, attribute_values, json_text, resource_ids
from pipelines.rivo.endpoints import ENDPOINTS
from sandbox import Program
from tests.pipelines.rivo.test_arrow import ID, LIKELY, scalars

COLUMNS = (
    ID,
    Column("points", "quantity", "", required=True),
    Column("reward_id", "id", "", fallback="reward"),
    Column("name", "text", ""),
    Column("order", "scalar", ""),
    Column("hidden", "bool", ""),
    Column("at", "timestamp", "", aliases=("time",)),
    Column("money", "decimal", ""),
    Column("tags", "json", ""),
    Column("reward", "json", "", volatile=True),
)


def page(rows: list[Any]) -> bytes:
    return json.dumps({"data": rows, "links": {"next_since_id": None}}, ensure_ascii=False).encode()


def plainly(table: pa.Table) -> list[dict[str, Any]]:
    """Return the table's rows with JSON parsed."""
    found: list[dict[str, Any]] = table.to_pylist()
    for row in found:
        row |= {name: json.loads(row[name]) for name in ("tags", "reward") if row[name] is not None}
    return found


def said(rejected: list[Rejected]) -> list[tuple[int | None, str, Any]]:
    return [(each.id, each.reason, json.loads(each.row)) for each in rejected]


def filled(read: Batch) -> dict[str, list[bool]]:
    return {name: [value is not None for value in column] for name, column in read.values.items()}


attributes = st.fixed_dictionaries(
    {},
    optional={
        "id": st.integers(0, 9) | st.lists(st.integers(0, 9), max_size=2),
        "points": LIKELY["quantity"],
        "reward_id": LIKELY["id"] | st.just("12"),
        "name": LIKELY["text"],
        "order": LIKELY["scalar"] | st.integers(0, 9),
        "hidden": LIKELY["bool"],
        "at": LIKELY["timestamp"],
        "time": LIKELY["timestamp"],
        "money": LIKELY["decimal"],
        "tags": LIKELY["json"],
        "reward": st.fixed_dictionaries({}, optional={"id": st.integers(0, 9) | st.just("7"), "x": scalars})
        | st.none()
        | st.integers(0, 9),
        "undeclared-x": scalars,
    },
)
likely_rows = st.fixed_dictionaries({"id": st.integers(1, 2**63 - 1), "attributes": attributes})
spoilt_rows = st.fixed_dictionaries(
    {"id": scalars, "attributes": st.fixed_dictionaries({"points": scalars, "name": scalars})}
)


@settings(max_examples=300)
@given(
    pages=st.lists(
        st.lists(likely_rows, max_size=3) | st.lists(likely_rows | spoilt_rows, max_size=2), max_size=3
    )
)
def test_typed_and_generic_decoders_agree(pages: list[list[Any]]) -> None:
    decode = PageDecoder(COLUMNS)
    typed = [row for rows in pages for row in decode(page(rows))["data"]]
    plain = [row for rows in pages for row in orjson.loads(page(rows))["data"]]

    assert resource_ids(typed) == resource_ids(plain)
    one, other = batch(Page.of(typed)), batch(Page.of(plain))
    assert filled(one) == filled(other)
    assert undeclared(COLUMNS, one) == undeclared(COLUMNS, other)
    table, rejected = to_table(COLUMNS, one)
    expected, why = to_table(COLUMNS, other)
    assert plainly(table) == plainly(expected)
    assert table.drop_columns("reward") == expected.drop_columns("reward"), "compared values are equal texts"
    assert said(rejected) == said(why)


def test_every_list_uses_typed_decoder_once_attributes_are_known(quiet_program: Program) -> None:
    for name, rows in quiet_program.snapshot(quiet_program.options.end).items():
        decode = PageDecoder(ENDPOINTS[name].columns)
        decode(page(rows))
        typed = decode(page(rows))["data"]
        assert rows
        assert all(isinstance(row, TypedRow) for row in typed)
        assert [json.loads(json_text(row)) for row in typed] == rows


def test_undeclared_attribute_is_remembered() -> None:
    decode = PageDecoder(COLUMNS)
    rows = [{"id": 1, "attributes": {"points": 1, "Was Ist?": {"a": [1]}}}]
    first, second = decode(page(rows))["data"], decode(page(rows))["data"]
    assert [type(first[0]), isinstance(second[0], TypedRow)] == [dict, True]
    assert dict(attribute_values(second)) == {"points": (1,), "Was Ist?": ({"a": [1]},)}


@pytest.mark.parametrize("text", [b'"\xff"', b'"\\ud800 "', b'["\\uD800 "]', b"{,}", b"[1,,2]", b"[NaN]"])
@pytest.mark.parametrize("attribute", [b"tags", b"name", b"undeclared"])
def test_invalid_json_is_refused_in_any_place(text: bytes, attribute: bytes) -> None:
    body = b'{"data": [{"id": 1, "attributes": {"points": 1, "%s": %s}}]}' % (attribute, text)
    with pytest.raises(orjson.JSONDecodeError):
        PageDecoder(COLUMNS)(body)


def test_surrogate_pairs_are_decoded_as_characters() -> None:
    body = rb'{"data": [{"id": 1, "attributes": {"points": 1, "tags": ["\ud83d\ude00"]}}]}'
    table, rejected = to_table(COLUMNS, batch(Page.of(PageDecoder(COLUMNS)(body)["data"])))
    assert (table["tags"].to_pylist(), rejected) == (['["😀"]'], [])


def test_number_beyond_doubles_within_json_is_kept() -> None:
    body = b'{"data": [{"id": 1, "attributes": {"points": 1, "tags": [1e999], "reward": {"x": 1e999}}}]}'
    table, rejected = to_table(COLUMNS, batch(Page.of(PageDecoder(COLUMNS)(body)["data"])))
    assert (table["tags"].to_pylist(), table["reward"].to_pylist()) == (["[1e999]"], ['{"x": 1e999}'])
    assert not rejected


def test_answer_without_rows_is_returned_unchanged() -> None:
    for body in (b"[]", b"{}", b'{"data": null}', b'{"data": {"id": 1}}', b'{"data": [1, null, {"id": 2}]}'):
        assert PageDecoder(COLUMNS)(body) == orjson.loads(body)
