"""RIVO_MODELS=none: a warehouse of raw tables, for shops whose models another engine builds."""

from __future__ import annotations

from pathlib import Path

from cli.terminal.status import exit_code
from runs.status import look
from sandbox import ProgramOptions
from tests.harness.store import open_store


class Always:
    """A schedule that never makes a warehouse stale."""

    def next_after(self, moment):  # type: ignore[no-untyped-def]
        return moment.replace(year=moment.year + 1)

    def last_before(self, moment):  # type: ignore[no-untyped-def]
        return moment.replace(year=2000)


def test_models_of_earlier_syncs_are_dropped_and_raw_tables_published(tmp_path: Path) -> None:
    options = ProgramOptions(customers=15, months=2)
    with open_store(tmp_path / "rivo.duckdb", options, selection="+dim_member") as store:
        store.sync(models=True)
        assert store.query("select count(*) > 0 from marts.dim_member") == [(True,)]
        store.wait()
        store.options["models"] = "none"
        store.sync(models=True)
        left = (
            "select distinct schema_name from duckdb_tables() "
            "where schema_name in ('marts', 'seeds', 'intermediate')"
        )
        assert store.query(left) == []
        assert store.query("select count(*) from duckdb_views() where schema_name = 'staging'") == [(0,)]
        assert store.query("select count(distinct observed_at) from rivo_raw.sync_log") == [(2,)]
        assert store.finished
        assert store.finished.report is None
        assert exit_code(look(store.settings, Always())) == 0
        del store.options["models"]
        store.wait()
        store.sync(models=True)
        assert store.query("select count(*) > 0 from marts.dim_member") == [(True,)]
