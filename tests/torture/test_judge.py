"""The judge of torture finds every harm; otherwise its silence would mean nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tests.harness.store import Store
from tests.torture.judge import agrees, judge
from tests.torture.stores import torture_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    # The models that the judge reads.
    selection = "+dim_member +fct_points_ledger"
    folder = tmp_path_factory.mktemp("judge")
    with torture_store(folder, seed=11, customers=25, months=3, selection=selection) as store:
        for _ in range(2):
            store.sync(models=True)
            store.wait()
        yield store


def test_judge_accepts_a_good_file(store: Store) -> None:
    verdict = judge(store.path, store.program, models=True, observations=0)
    assert (verdict.lost, verdict.doubled, verdict.said) == (0, 0, [])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("delete from rivo_raw.points_events where id = (select min(id) from rivo_raw.points_events)", "missing"),
        ("insert into rivo_raw.rewards (select * from rivo_raw.rewards limit 1)", "twice"),
        ("update rivo_raw.referrals set status = 'lost'", "instead of"),
        ("update rivo_raw.customers set points_tally = points_tally + 1", "raw_and_marts disagree"),
        ("update rivo_raw.customers_history set points_tally = -1 where valid_to is null", "not as the store was"),
        ("insert into rivo_raw.customers_history (select * from rivo_raw.customers_history limit 1)", "overlap"),
        ("insert into rivo_raw.sync_log by name (select 'customers' as list, '2030-01-01'::timestamptz as observed_at, "
         "true as complete)", "log_and_raw disagree"),
        ("update meta.build_results set data_as_of = '2020-01-01' where table_name = 'dim_member'", "models_and_log"),
    ],
)  # fmt: skip
def test_judge_reports_each_kind_of_harm(store: Store, tmp_path: Path, harm: str, said: str) -> None:
    path = tmp_path / "rivo.duckdb"
    shutil.copyfile(store.path, path)
    with duckdb.connect(str(path)) as connection:
        connection.execute(harm)
        problems = agrees(connection)[1]
    if "disagree" not in said and "models" not in said:
        verdict = judge(path, store.program, models=False, observations=0)
        assert verdict.lost + verdict.doubled > 0 or "instead of" in said
        problems = verdict.said
    assert any(said in problem for problem in problems), problems


def test_judge_finds_a_damaged_file(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rivo.duckdb"
    path.write_bytes(store.path.read_bytes()[:100_000])
    assert "does not open" in judge(path, store.program, models=False).said[0]
