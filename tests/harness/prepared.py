"""Warehouses that are expensive to make, made once per test run and copied by the tests that need them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def prepare_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that `make` has filled, in this process or in another worker of pytest-xdist.

    Args:
        factory: pytest's factory of temporary folders; its base folder is new in each test run.
        name: the folder's name, unique in the test suite.
        make: fills the empty folder that it is given. No test may change it afterwards.
    """
    base = factory.getbasetemp()
    # Each worker has a base folder of its own, inside that of the test run.
    shared = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "prepared"
    shared.mkdir(exist_ok=True)
    folder, done = shared / name, shared / f"{name}.done"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
