"""The plan of id ranges, read by simulated workers in any order: together they read exactly the list."""

from __future__ import annotations

from bisect import bisect_right
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rivo.ranges import PAGE_SIZE, Range, ReadPlan, plan_ranges


def run(
    plan: ReadPlan, ids: list[int], workers: int, seed: int, arriving: list[int]
) -> tuple[list[int], int]:
    """What the workers hand over, and how many requests they made.

    A worker's request is answered when chance has it be its turn; `arriving` ids are added meanwhile.
    """
    chance = Random(seed)
    ids, arriving = list(ids), list(arriving)
    busy: dict[int, Range | None] = {}
    read: list[int] = []
    requests = 0
    while True:
        for worker in range(workers):
            if busy.get(worker) is None and not all(r.done for r in plan.ranges):
                # claim() would wait; here a worker that finds nothing asks again later.
                found = plan._untaken() or plan._jump() or plan._half()
                if found:
                    found.taken = True
                    busy[worker] = found
        working = [worker for worker, current in busy.items() if current]
        if not working:
            assert all(r.done for r in plan.ranges)
            return read, requests
        worker = chance.choice(working)
        current = busy[worker]
        assert current
        start = bisect_right(ids, current.position)
        page = ids[start : start + PAGE_SIZE]
        ended = start + PAGE_SIZE >= len(ids)
        requests += 1
        gap = (page[-1] - page[0]) / len(page) if page else 1.0
        first, last = (page[0], page[-1]) if page else (None, None)
        end = plan.advance(current, first, last, gap, ended=ended)
        read += [i for i in page if end is None or i <= end]
        if current.done:
            busy[worker] = None
        if arriving and chance.random() < 0.3:
            ids.append(arriving.pop(0))


ID_LAYOUTS = st.one_of(
    st.lists(st.integers(1, 20_000), unique=True, max_size=4_000).map(sorted),
    st.builds(
        lambda first, count, step: [first + n * step for n in range(count)],
        st.integers(1, 2**45),
        st.integers(0, 6_000),
        st.integers(1, 1_000),
    ),
    # Shopify's: old ones far apart, new ones close together, and holes.
    st.builds(
        lambda count, hole: [
            7_000_000_000_000 + n * 33_000 - n * n + (hole if n > count // 3 else 0) for n in range(count)
        ],
        st.integers(0, 6_000),
        st.integers(0, 10**10),
    ),
)


@settings(max_examples=150)
@given(ID_LAYOUTS, st.integers(1, 9), st.integers(0, 10**6), st.integers(0, 30), st.data())
def test_ranges_read_every_row_once(
    ids: list[int], workers: int, seed: int, arriving: int, data: st.DataObject
) -> None:
    since_id = data.draw(st.sampled_from([0, *ids[::97]]))
    known = (
        sorted(data.draw(st.sets(st.sampled_from(ids), max_size=30)))
        if ids and seed % 2
        else ids[: seed % 5_000]
    )
    later = [(ids[-1] if ids else 0) + 10 + n for n in range(arriving)]

    read, _ = run(plan_ranges(since_id, known, workers), ids, workers, seed, later)

    assert len(read) == len(set(read))
    wanted = {i for i in ids if i > since_id}
    # What arrives meanwhile is read or left to the next sync.
    assert wanted <= set(read) <= wanted | set(later)


@pytest.mark.parametrize("workers", [1, 4, 8])
def test_ranges_of_known_ids_take_the_fewest_requests(workers: int) -> None:
    ids = [7_000_000_000_000 + n * 33_000 - n * n // 4 for n in range(50_000)]

    _, requests = run(plan_ranges(0, ids, workers), ids, workers, seed=1, arriving=[])

    assert requests == 50_000 / PAGE_SIZE


def test_quiet_tail_takes_one_request() -> None:
    ids = list(range(1, 5_001))

    _, requests = run(plan_ranges(5_000, ids, 8), ids, 8, seed=1, arriving=[])

    assert requests == 1


@pytest.mark.parametrize(
    "ids",
    [
        [4_000_000_000 + n * 7 for n in range(200_000)],
        [7_000_000_000_000 + n * 33_000 - n * n // 16 for n in range(200_000)],
    ],
    ids=["even", "skewed"],
)
def test_first_load_uses_every_worker_with_few_empty_requests(ids: list[int]) -> None:
    plan = plan_ranges(0, None, 8)

    read, requests = run(plan, ids, 8, seed=3, arriving=[])

    assert len(read) == 200_000
    assert len(plan.ranges) >= 8
    assert requests < 1.1 * 200_000 / PAGE_SIZE
