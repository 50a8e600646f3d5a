"""Runs with a shared state that are killed at every request to S3, and at every rename of a local file."""

from __future__ import annotations

from pathlib import Path

from tests.targets.killing import Child, killed_at_request
from tests.targets.machines import Machine, check_objects, machine, pointer
from tests.targets.s3 import S3


def _run(where: Machine) -> None:
    where.run()


def test_run_killed_at_any_request_leaves_the_old_state_or_the_new_one(tmp_path: Path, s3: S3) -> None:
    a, b = machine(tmp_path, "a"), machine(tmp_path, "b")
    b.run()
    a.run()
    outcomes = []
    for number in range(1, 60):
        # The killed run has to pull first.
        b.run()
        before = b.numbers
        with killed_at_request(s3, number) as children:
            children.append(Child(_run, a, environment=s3.environment))
            code = children[0].end()
        outcomes.append(_check(tmp_path, s3, b, before))
        if code == 0:
            break
    else:
        raise AssertionError("the run was killed every time")
    assert number > 8
    assert set(outcomes) == {"old", "new"}
    a.run()
    assert a.numbers == [*b.numbers, len(b.numbers) + 1]


def test_run_killed_before_any_rename_leaves_the_old_state_or_the_new_one(tmp_path: Path, s3: S3) -> None:
    a, b = machine(tmp_path, "a"), machine(tmp_path, "b")
    b.run()
    a.run()
    outcomes = []
    for number in range(1, 30):
        b.run()
        before = b.numbers
        code = Child(_run, a, environment=s3.environment, rename=number).end()
        assert a.numbers == list(range(1, len(a.numbers) + 1))
        outcomes.append(_check(tmp_path, s3, b, before))
        if code == 0:
            break
    else:
        raise AssertionError("the run was killed every time")
    assert number > 4
    assert set(outcomes) == {"old", "new"}


def test_machine_that_was_killed_goes_on_by_itself(tmp_path: Path, s3: S3) -> None:
    a = machine(tmp_path, "a")
    a.run()
    for number in range(1, 40):
        before = a.numbers
        with killed_at_request(s3, number) as children:
            children.append(Child(_run, a, environment=s3.environment))
            code = children[0].end()
        a.run()
        # Nothing that the killed run had finished here or pushed is lost, and nothing is there twice.
        assert a.numbers in (
            list(range(1, len(before) + 2)),
            list(range(1, len(before) + 3)),
        )
        check_objects(s3)
        if code == 0:
            break
    assert number > 4


def _check(folder: Path, s3: S3, other: Machine, before: list[int]) -> str:
    """Check the state on a machine that begins with nothing; return whether it is the one before or after the run."""
    check_objects(s3)
    fresh = machine(folder, f"fresh-{pointer(s3)['version']}")
    fresh.warehouse.pull()
    assert fresh.numbers in (before, [*before, len(before) + 1])
    other.warehouse.pull()
    assert other.numbers == fresh.numbers
    return "old" if fresh.numbers == before else "new"
