"""Periods in every time zone that DuckDB knows, from 2020 to 2030."""

from __future__ import annotations

from pathlib import Path

import duckdb

import dbt_like_sql

MODELS = Path(dbt_like_sql.__file__).parent / "models" / "intermediate"
DAYS = MODELS / "int_history_days.sql"
PERIODS = MODELS / "int_periods.sql"


def test_periods_begin_with_the_first_instant_of_their_first_day() -> None:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; create schema intermediate")
        zones = [name for (name,) in connection.execute("select name from pg_timezone_names()").fetchall()]
        wrong = []
        for zone in zones:
            connection.execute(
                """
                create or replace table intermediate.int_clock as
                select
                    zone as timezone,
                    date '2020-01-01' as history_start_date,
                    date '2030-12-31' as local_date,
                    timestamptz '2019-12-01 00:00:00+00' as history_start_at,
                    timestamptz '2031-06-01 00:00:00+00' as observed_at
                from (select $zone as zone)
                """,
                {"zone": zone},
            )
            connection.execute(f"create or replace table intermediate.int_history_days as {DAYS.read_text()}")
            wrong += connection.execute(
                f"""
                with periods as ({PERIODS.read_text()})
                select $zone, *
                from periods
                where period_type <> 'to_date'
                    and (
                        timezone($zone, starts_at)::date <> period_start
                        or timezone($zone, starts_at - interval 1 microsecond)::date >= period_start
                        or ends_at <= starts_at
                        or timezone($zone, ends_at)::date <> period_end + 1
                    )
                """,
                {"zone": zone},
            ).fetchall()
        assert len(zones) > 400
        assert wrong == []
