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
        connection.execute(
            """
            set TimeZone = 'UTC';
            create schema intermediate;
            create table intermediate.int_clock as
            select
                'UTC' as timezone,
                date '2020-01-01' as history_start_date,
                date '2030-12-31' as local_date,
                timestamptz '2019-12-01 00:00:00+00' as history_start_at,
                timestamptz '2031-06-01 00:00:00+00' as observed_at
            """
        )
        connection.execute(f"create table intermediate.int_history_days as {DAYS.read_text()}")
        # Prepared once, since to plan it for each zone takes a third of the time.
        connection.execute(
            f"""
            prepare wrong_periods as
            with periods as ({PERIODS.read_text()})
            select zone.timezone, periods.*
            from periods
            cross join intermediate.int_clock as zone
            where periods.period_type <> 'to_date'
                and (
                    timezone(zone.timezone, periods.starts_at)::date <> periods.period_start
                    or timezone(zone.timezone, periods.starts_at - interval 1 microsecond)::date >= periods.period_start
                    or periods.ends_at <= periods.starts_at
                    or timezone(zone.timezone, periods.ends_at)::date <> periods.period_end + 1
                )
            """
        )
        zones = [name for (name,) in connection.execute("select name from pg_timezone_names()").fetchall()]
        wrong = []
        for zone in zones:
            connection.execute("update intermediate.int_clock set timezone = ?", [zone])
            wrong += connection.execute("execute wrong_periods").fetchall()
        assert len(zones) > 400
        assert wrong == []
