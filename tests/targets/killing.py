"""Work in child processes that are killed with SIGKILL at the n-th request to S3, or before the n-th rename of a file.

Children are forked from a process that has imported what they need.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.harness.command import SINGLE_THREAD
from tests.targets.s3 import S3

_processes = multiprocessing.get_context("forkserver")
_PACKAGES = (
    *("boto3", "botocore.endpoint", "duckdb", "pandas", "pyarrow.parquet", "tests.harness.actions"),
    *("tests.targets.machines", "tests.targets.parquet_readers", "pipelines.targets.parquet"),
    *("dlt.load.load", "tests.targets.dlt_destinations", "pipelines.targets.dlt_publishing"),
)


class Child:
    """A process that calls a function of a module, in an environment of its own."""

    def __init__(
        self,
        function: Callable[..., object],
        *arguments: object,
        environment: Mapping[str, str],
        rename: int = 0,
    ) -> None:
        _processes.set_forkserver_preload(list(_PACKAGES))
        self.process = _processes.Process(
            target=_work, args=(function, arguments, dict(environment), rename), daemon=True
        )
        self.process.start()

    def kill(self) -> None:
        os.kill(self.process.pid or 0, signal.SIGKILL)

    def end(self) -> int:
        """Wait for the end, and return the exit code: 0, or -9 if it was killed."""
        self.process.join(60)
        assert self.process.exitcode is not None
        return self.process.exitcode


def _work(
    function: Callable[..., object], arguments: tuple[Any, ...], environment: dict[str, str], rename: int
) -> None:
    os.environ.update(environment)
    for name in SINGLE_THREAD:
        os.environ.pop(name, None)
    if rename:
        left = rename

        def watch(event: str, _arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if event == "os.rename":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
    function(*arguments)


@contextmanager
def killed_at_request(s3: S3, number: int) -> Iterator[list[Child]]:
    """Kill the child that the caller appends to the list when the n-th request arrives, before or after it is done."""
    children: list[Child] = []
    left = number

    def before(_method: str, _path: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            children[0].kill()

    s3.before = before
    try:
        yield children
    finally:
        s3.before = lambda _method, _path: None
