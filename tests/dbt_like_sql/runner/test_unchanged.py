"""A build leaves alone what cannot have changed since its last build, and nothing else."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .building import ONE_ROW_PER_MEMBER, contents, rows, run, statuses
from .conftest import SHOP, Write

CHANGES = {
    "insert into rivo_raw.customers values (9, 'z@x.org', 0)": {"stg_customers", "dim_member", "rpt_total"},
    "update rivo_raw.customers set email = 'new@x.org' where id = 1": {"stg_customers", "dim_member"},
    # No model reads this column of the view.
    "update rivo_raw.customers set points = points + 1": set(),
    "update rivo_raw.events set amount = amount + 1 where id = 1": {
        "stg_events",
        "dim_member",
        "fct_event",
        "rpt_total",
    },
    # One member has more and another less, so the total is the same.
    "update rivo_raw.events set amount = case customer_id when 1 then amount + 3 when 2 then amount - 3 end": {
        "stg_events",
        "dim_member",
        "fct_event",
        "rpt_total",
    },
}


@pytest.mark.parametrize("change", CHANGES)
def test_only_what_reads_a_changed_column_is_built(
    connection: duckdb.DuckDBPyConnection, shop: Path, change: str
) -> None:
    run(connection, shop)
    connection.execute(change)
    built = {name for name, status in statuses(run(connection, shop)).items() if status == "success"}
    assert built == CHANGES[change]
    assert set(statuses(run(connection, shop)).values()) == {"unchanged"}


def test_model_that_comes_out_the_same_does_not_rebuild_its_readers(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(
        SHOP
        | {
            "models/intermediate/int_buyers.sql": "select distinct customer_id from staging.stg_events",
            "models/marts/fct_buyer.sql": "select customer_id from intermediate.int_buyers",
        }
    )
    run(connection, root)
    connection.execute("update rivo_raw.events set id = id + 100")
    found = statuses(run(connection, root))
    assert (found["int_buyers"], found["fct_buyer"]) == ("unchanged", "unchanged")
    connection.execute("insert into rivo_raw.events values (50, 1, 0)")
    found = statuses(run(connection, root))
    assert (found["int_buyers"], found["fct_buyer"]) == ("success", "unchanged")


def test_order_of_rows_does_not_count_but_their_number_does(
    connection: duckdb.DuckDBPyConnection, shop: Path
) -> None:
    run(connection, shop)
    connection.execute("create table sorted as from rivo_raw.events order by id desc")
    connection.execute("delete from rivo_raw.events; insert into rivo_raw.events from sorted")
    assert set(statuses(run(connection, shop)).values()) == {"unchanged"}
    connection.execute("insert into rivo_raw.events from sorted; insert into rivo_raw.events from sorted")
    assert statuses(run(connection, shop))["fct_event"] == "success"


def test_changed_file_is_built_and_its_readers_only_if_its_rows_differ(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(SHOP)
    run(connection, root)
    write({"models/marts/dim_member.sql": SHOP["models/marts/dim_member.sql"] + "-- a comment"})
    found = statuses(run(connection, root))
    assert (found["dim_member"], found["rpt_total"]) == ("success", "unchanged")
    write({"models/column_descriptions.yml": "balance: Points held now."})
    assert statuses(run(connection, root))["dim_member"] == "success"
    assert rows(
        connection,
        "select comment from duckdb_columns() where table_name = 'dim_member' and column_name = 'balance'",
    ) == [("Points held now.",)]


def test_tests_run_again_only_if_they_or_what_they_read_changed(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    total = "select * from reports.rpt_total where members > (select count(*) + 10 from rivo_raw.customers)"
    root = write(SHOP | {"models/m.yml": ONE_ROW_PER_MEMBER, "tests/few.sql": total})
    first = run(connection, root)["rpt_total"]
    again = run(connection, root)["rpt_total"]
    assert (again.status, again.is_tested, again.rows) == ("unchanged", False, 1)
    assert [(t.name, t.status) for t in again.tests] == [(t.name, t.status) for t in first.tests]

    # The table itself is unchanged, and so is what it is built from.
    connection.execute("update rivo_raw.customers set points = 7")
    found = run(connection, root)["rpt_total"]
    assert (found.status, found.is_tested) == ("unchanged", True)

    write({"tests/few.sql": "select * from reports.rpt_total where members > 1"})
    found = run(connection, root)["rpt_total"]
    assert (found.status, found.is_tested) == ("failed", True)
    assert found.message == "few: 1 failing row. The last good version is kept."
    # What failed is built and tested again, until it passes.
    assert run(connection, root)["rpt_total"].status == "failed"
    write({"tests/few.sql": total})
    assert run(connection, root)["rpt_total"].status == "success"


@pytest.mark.parametrize(
    "sql",
    [
        "select now() as at",
        "select Current_Date as day",
        "select '--' || random() as r",
        "select age(timestamp '2026-01-01') as a",
        "select * from (select 1 as x) using sample 1",
        "select * from read_csv('rows.csv')",
    ],
)
def test_model_that_reads_more_than_tables_is_always_built(
    connection: duckdb.DuckDBPyConnection, write: Write, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    root = write({"models/marts/fct_a.sql": sql, "rows.csv": "a,b\n1,2\n"})
    monkeypatch.chdir(root)
    assert [statuses(run(connection, root))["fct_a"] for _ in range(2)] == ["success", "success"]


def test_exchanged_renamed_and_retyped_columns_rebuild_the_readers(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(
        SHOP
        | {
            "models/intermediate/int_pair.sql": "select id as p, amount as q from rivo_raw.events",
            "models/reports/rpt_pair.sql": "select p - q as difference from intermediate.int_pair",
            "models/reports/rpt_python.py": "def model(int_pair):\n    return int_pair\n",
        }
    )
    for pair in (
        "id as q, amount as p",
        "id as q, amount as p, 1 as r",
        "id::bigint as q, amount as p, 1 as r",
    ):
        run(connection, root)
        write({"models/intermediate/int_pair.sql": f"select {pair} from rivo_raw.events"})
        run(connection, root)
        after_edit = contents(connection)
        types = rows(connection, "describe reports.rpt_pair") + rows(
            connection, "describe reports.rpt_python"
        )
        run(connection, root, everything=True)
        assert contents(connection) == after_edit, pair
        assert (
            rows(connection, "describe reports.rpt_pair") + rows(connection, "describe reports.rpt_python")
            == types
        )


def test_test_that_could_not_run_runs_in_the_next_build(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(
        SHOP
        | {
            "tests/t.sql": "select * from marts.fct_event where customer_id in (select members from reports.rpt_a)",
            "tests/t.yml": "data_tests: [{name: t, config: {severity: warn}}]",
            "models/reports/rpt_a.sql": "select 99 as members",
            "models/reports/rpt_b.sql": "select count(*) as members from marts.fct_event",
        }
    )
    run(connection, root)
    node = next(
        name for name, result in run(connection, root).items() if any(t.name == "t" for t in result.tests)
    )
    other = "fct_event" if node == "rpt_a" else "rpt_a"
    good = (root / f"models/{'marts' if other == 'fct_event' else 'reports'}/{other}.sql").read_text()
    write(
        {
            f"models/{'marts' if other == 'fct_event' else 'reports'}/{other}.sql": "select error('no') as members"
        }
    )
    run(connection, root)
    write({f"models/{'marts' if other == 'fct_event' else 'reports'}/{other}.sql": good})
    run(connection, root)
    [result] = [test for test in run(connection, root)[node].tests if test.name == "t"]
    assert result.message == "Passed."


@pytest.mark.parametrize(
    ("code", "is_built"),
    [
        ("import math\ndef model(stg_events):\n    return stg_events\n", False),
        ("import os\ndef model(stg_events):\n    return stg_events\n", True),
        ("def model(stg_events):\n    return stg_events.sample(1)\n", True),
    ],
)
def test_python_model_is_built_again_only_if_it_may_read_more_than_tables(
    connection: duckdb.DuckDBPyConnection, write: Write, code: str, is_built: bool
) -> None:
    root = write(SHOP | {"models/marts/fct_python.py": code})
    run(connection, root)
    assert statuses(run(connection, root))["fct_python"] == ("success" if is_built else "unchanged")


def test_table_that_was_dropped_is_built(connection: duckdb.DuckDBPyConnection, shop: Path) -> None:
    run(connection, shop)
    connection.execute("drop table marts.dim_member")
    assert statuses(run(connection, shop)) == {
        "stg_customers": "unchanged",
        "stg_events": "unchanged",
        "dim_member": "success",
        "fct_event": "unchanged",
        "rpt_total": "unchanged",
    }


def test_seed_is_built_if_its_file_changed(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    root = write(SHOP | {"seeds/rules.csv": "a,b\n1,x\n"})
    run(connection, root)
    assert statuses(run(connection, root))["rules"] == "unchanged"
    write({"seeds/rules.csv": "a,b\n1,y\n"})
    assert statuses(run(connection, root))["rules"] == "success"


def test_results_of_an_earlier_release_are_kept_and_everything_is_built_once(
    connection: duckdb.DuckDBPyConnection, shop: Path
) -> None:
    run(connection, shop)
    connection.execute("alter table meta.build_results drop column inputs")
    connection.execute("alter table meta.build_results drop column tested")
    assert set(statuses(run(connection, shop)).values()) == {"success"}
    assert set(statuses(run(connection, shop)).values()) == {"unchanged"}


EDITS = (
    "insert into rivo_raw.events values ({n}, {n} % 4, {n})",
    "delete from rivo_raw.events where id % 3 = {n} % 3",
    "update rivo_raw.events set amount = {n} where customer_id = {n} % 4",
    "update rivo_raw.events set customer_id = null where id = {n}",
    "insert into rivo_raw.customers values ({n}, 'n{n}@x.org', {n})",
    "update rivo_raw.customers set email = null where id = {n} % 4",
    "delete from rivo_raw.customers where id = {n}",
    "update rivo_raw.customers set points = {n}",
)
WIDER = {
    "models/intermediate/int_ranked.sql": """
        select customer_id, amount, row_number() over (partition by customer_id order by event_id) as place
        from staging.stg_events
        """,
    "models/reports/rpt_second.sql": "select count(*) as seconds from intermediate.int_ranked where place = 2",
    "models/reports/rpt_silent.sql": """
        select email from marts.dim_member as members
        where not exists (select 1 from marts.fct_event as events where events.customer_id = members.customer_id)
        """,
    "models/reports/rpt_wide.sql": "select * from staging.stg_customers",
    **{
        f"models/reports/rpt_rows_{number}.sql": sql
        for number, sql in enumerate(
            (
                "with d as (select distinct customer_id, amount from staging.stg_events) select customer_id from d",
                "with d as (select customer_id, amount from staging.stg_events "
                "union select customer_id, points from staging.stg_customers) select count(*) as n from d",
                "with d as (select customer_id, amount from staging.stg_events "
                "except select customer_id, points from staging.stg_customers) select count(*) as n from d",
                "with d as (select customer_id, amount, count(*) as n from staging.stg_events group by all) "
                "select customer_id, n from d",
                "with d as (select customer_id, amount, count(*) as n from staging.stg_events group by 1, 2) "
                "select customer_id, n from d",
                "with d as (select customer_id, amount from staging.stg_events order by 2 desc, 1 limit 1) "
                "select customer_id from d",
                "select event_id from staging.stg_events cross join unnest(range(amount % 5)) as series (x)",
                "with d as (select event_id, unnest(range(amount % 5)) as x from staging.stg_events) "
                "select event_id from d",
                "with c as (select customer_id, points as amount from staging.stg_customers) "
                "select event_id from staging.stg_events natural join c",
                "with recursive d as (select customer_id, amount % 3 as x from staging.stg_events "
                "union select customer_id, x - 1 from d where x > 0) select customer_id from d",
            )
        )
    },
}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(
        st.tuples(st.sampled_from(EDITS), st.integers(1, 9), st.booleans()), min_size=1, max_size=6
    )
)
def test_builds_after_any_edits_equal_a_build_of_everything(
    write: Write, edits: list[tuple[str, int, bool]]
) -> None:
    root = write(SHOP | WIDER)
    with duckdb.connect() as connection:
        connection.execute(
            "create schema rivo_raw; create table rivo_raw.customers (id int, email varchar, points int); "
            "create table rivo_raw.events (id int, customer_id int, amount int); "
            "insert into rivo_raw.customers values (1, 'a@x.org', 5), (2, 'b@x.org', 6); "
            "insert into rivo_raw.events values (1, 1, 10), (2, 2, 20), (3, 1, 30)"
        )
        run(connection, root)
        for edit, number, builds in edits:
            connection.execute(edit.format(n=number))
            if builds:
                run(connection, root)
        run(connection, root)
        after_edits = contents(connection)
        run(connection, root, everything=True)
        assert contents(connection) == after_edits
