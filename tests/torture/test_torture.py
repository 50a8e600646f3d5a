"""A few rounds of each kind of torture; `make torture` runs them for minutes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.store import Store
from tests.torture.actions import actions
from tests.torture.big import big
from tests.torture.clock import clock
from tests.torture.disk import disk
from tests.torture.faults import faults
from tests.torture.figures import Figures
from tests.torture.kill import kill
from tests.torture.readers import readers
from tests.torture.stores import torture_store
from tests.torture.two_at_once import two_at_once
from tests.torture.values import values


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    # The models that the judge reads.
    selection = "+dim_member +fct_points_ledger"
    with torture_store(tmp_path, seed=11, customers=25, months=3, selection=selection) as store:
        yield store


def kept(figures: Figures) -> bool:
    """Assert that all promises held; return whether anything was run."""
    assert figures.problems == []
    assert (figures.lost, figures.doubled) == (0, 0)
    return figures.runs > 0


def test_killed_syncs_lose_and_duplicate_nothing(store: Store) -> None:
    figures = kill(store, 4, rivo=False)
    assert kept(figures)
    assert figures.runs == 4


def test_faults_end_in_success_or_a_clear_error(store: Store) -> None:
    kinds = ("http_401", "http_500", "empty_page", "type_change")
    assert kept(faults(store, kinds, (0.5,)))


def test_readers_see_one_state_and_delay_no_sync(store: Store) -> None:
    assert kept(readers(store, syncs=2, count=3))


def test_concurrent_sync_is_refused(store: Store) -> None:
    assert kept(two_at_once(store, 2, rivo=False))


def test_unusable_disks_and_files_are_reported_and_recovered(store: Store) -> None:
    figures = disk(store, rounds=2, models=False)
    assert kept(figures)
    assert len(figures.seen) >= 4


def test_wrong_clocks_keep_histories_in_order(store: Store) -> None:
    assert kept(clock(store, rounds=1))


def test_odd_values_block_no_publishing(store: Store) -> None:
    assert kept(values(store, rounds=1, syncs=2))


def test_actions_land_once_whatever_fails(store: Store) -> None:
    assert kept(actions(store, runs=4, rows=20))


def test_big_rows_stay_within_bounded_memory(tmp_path: Path) -> None:
    with torture_store(tmp_path, seed=11, customers=260, months=1) as store:
        assert kept(big(store, page_mb=20, models=False))
