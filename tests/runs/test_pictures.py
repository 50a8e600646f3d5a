"""The pictures of reports, with unusual tier names."""

from __future__ import annotations

import re
import warnings

import duckdb
import pytest

from runs.pictures import tier_migration


@pytest.mark.parametrize("name", ["Gold ✨👑", "from $500 ^^ to $1,000", "李先生", "$\\frac$"])
def test_tier_migration_draws_any_tier_name(name: str) -> None:
    with duckdb.connect() as warehouse:
        warehouse.execute("""
            create schema marts;
            create schema reports;
            create table marts.dim_tier (tier_name varchar, tier_rank bigint, is_current boolean);
            create table reports.rpt_tier_migration as
            select
                'to_date' as period_type, date '2026-10-01' as period_start, date '2026-10-05' as period_end,
                false as is_complete, 'no_tier' as from_state, ''::varchar as to_state, 'upgrade' as direction,
                3::bigint as members
        """)
        warehouse.execute("insert into marts.dim_tier values (?, 1, true)", [name])
        warehouse.execute("update reports.rpt_tier_migration set to_state = ?", [name])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            picture = tier_migration(warehouse)
    assert re.match(r"!\[[^]]+\]\(data:image/png;base64,iVBOR", picture or "")
