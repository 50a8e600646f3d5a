"""A few rounds of each kind of torture; `make torture` runs them for minutes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture.big import big
from tests.torture.clock import clock
from tests.torture.disk import disk
from tests.torture.faults import faults
from tests.torture.figures import Figures
from tests.torture.ground import Ground, ground
from tests.torture.kill import kill
from tests.torture.readers import readers
from tests.torture.two_at_once import two_at_once


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Ground]:
    with ground(tmp_path, seed=11, customers=25, months=3) as place:
        yield place


def kept(figures: Figures) -> bool:
    """Whether all promises held."""
    assert figures.problems == []
    assert (figures.lost, figures.doubled) == (0, 0)
    return figures.runs > 0


def test_killed_syncs_lose_and_double_nothing(at: Ground) -> None:
    figures = kill(at, 4, rivo=False)
    assert kept(figures)
    assert figures.runs == 4


def test_faults_end_in_success_or_a_reason(at: Ground) -> None:
    kinds = ("http_401", "http_500", "empty_page", "type_change")
    assert kept(faults(at, kinds, (0.5,)))


def test_readers_see_one_state_and_keep_no_sync_waiting(at: Ground) -> None:
    assert kept(readers(at, syncs=2, count=3))


def test_of_two_syncs_one_wins(at: Ground) -> None:
    assert kept(two_at_once(at, 2, rivo=False))


def test_disks_and_files_that_do_not_do(at: Ground) -> None:
    figures = disk(at, rounds=2, models=False)
    assert kept(figures)
    assert len(figures.seen) >= 4


def test_clocks_that_are_wrong(at: Ground) -> None:
    assert kept(clock(at, rounds=1))


def test_big_rows_in_bounded_memory(tmp_path: Path) -> None:
    with ground(tmp_path, seed=11, customers=260, months=1) as at:
        assert kept(big(at, page_mb=20, models=False))
