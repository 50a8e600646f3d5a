"""The pictures of reports: unusual names, shops with nothing to draw, and SVG that a page may hold."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest

from runs.pictures import PALETTE, PICTURES, picture
from tests.dbt_like_sql.models.stores import question_warehouse


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return question_warehouse(tmp_path_factory)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        *(
            (name, name)
            for name in ("Gold ✨👑", "from $500 ^^ to $1,000", "李先生", "$\\frac$", "<script>", 'a "b" & c')
        ),
        # A name of any length leaves room for the cells.
        ("Members of the very first hour " * 3, "Members of the very…"),
    ],
)
def test_tier_migration_draws_any_tier_name(name: str, shown: str) -> None:
    with duckdb.connect() as warehouse:
        warehouse.execute("""
            create schema marts;
            create schema reports;
            create table marts.dim_tier (tier_id bigint, tier_name varchar, tier_rank bigint, is_current boolean);
            create table reports.rpt_tier_migration as
            select
                'to_date' as period_type, date '2026-10-01' as period_start, date '2026-10-05' as period_end,
                false as is_complete, 'no_tier' as from_state, ''::varchar as to_state, null::bigint as from_tier_id,
                1::bigint as to_tier_id, 'upgrade' as direction, 3::bigint as members, 1.0 as share
        """)
        warehouse.execute("insert into marts.dim_tier values (1, ?, 1, true)", [name])
        warehouse.execute("update reports.rpt_tier_migration set to_state = ?", [name])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            drawn = picture(warehouse, "reports.rpt_tier_migration")
            assert drawn
            markdown, svg = drawn.markdown(), drawn.svg("migration")
    assert re.match(r"!\[[^]]+\]\(data:image/png;base64,iVBOR", markdown)
    assert f"{shown} 3" in " ".join(text.text for text in ElementTree.fromstring(svg).iter() if text.text)


@pytest.mark.parametrize("relation", PICTURES)
def test_picture_is_drawn_from_a_shop_with_history(warehouse: Path, relation: str) -> None:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        drawn = picture(connection, relation)

    assert drawn
    svg = drawn.svg("picture")
    # A page with a strict policy: no style, no script, no image, no address but references within the drawing.
    assert not re.search(r"style|<script|<image|href=\"[^#]|http(?!://www.w3.org/2000/svg)", svg)
    assert "var(--" in svg
    assert not any(light in svg for light, _ in PALETTE.values())
    assert drawn.text in svg
    ids = re.findall(r' id="([^"]+)"', svg)
    assert all(id.startswith("picture-") for id in ids)
    assert {*re.findall(r"url\(#([^)]+)\)", svg), *re.findall(r'href="#([^"]+)"', svg)} <= set(ids)


@pytest.mark.parametrize("relation", PICTURES)
def test_picture_is_left_out_where_there_is_nothing_to_draw(warehouse: Path, relation: str) -> None:
    """An empty copy of the shop's tables is like any shop in which a report has no row."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{warehouse}' as shop (read_only)")
        for table in {*_tables(relation), "marts.dim_tier"}:
            connection.execute(f"create schema if not exists {table.partition('.')[0]}")
            connection.execute(f"create table {table} as from shop.{table} limit 0")
        assert picture(connection, relation) is None


@pytest.mark.parametrize("relation", PICTURES)
def test_picture_reads_only_its_own_table(relation: str) -> None:
    assert _tables(relation) == {relation}


def _tables(relation: str) -> set[str]:
    from sqlglot import exp, parse_one

    query = PICTURES[relation][0]
    return {f"{table.db}.{table.name}" for table in parse_one(query, dialect="duckdb").find_all(exp.Table)}
