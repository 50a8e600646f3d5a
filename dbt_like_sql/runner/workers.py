"""Threads that build several nodes at once, each with a connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import duckdb

from dbt_like_sql.runner.nodes import NodeResult

Work = Callable[[duckdb.DuckDBPyConnection], NodeResult]
"""What a thread does, with its connection."""

_SECONDS_BETWEEN_INTERRUPTS = 0.05


class Workers:
    """A fixed number of threads. DuckDB runs statements of different connections at the same time."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, number: int) -> None:
        """Open a connection to the same database for each thread."""
        self._connections = [connection.cursor() for _ in range(number)]
        self._free = [*self._connections]
        self._pool = ThreadPoolExecutor(number, "build")
        self._running: dict[Future[NodeResult], duckdb.DuckDBPyConnection] = {}

    @property
    def has_free(self) -> bool:
        """Whether a thread has nothing to do."""
        return bool(self._free)

    @property
    def are_idle(self) -> bool:
        """Whether no thread has anything to do."""
        return not self._running

    def start(self, work: Work, *, here: bool = False) -> None:
        """Start work in a free thread; or do it in that of the caller, with the connection of a free one."""
        connection = self._free.pop()
        if here:
            future: Future[NodeResult] = Future()
            future.set_result(work(connection))
        else:
            future = self._pool.submit(work, connection)
        self._running[future] = connection

    def finished(self) -> list[NodeResult]:
        """Wait until some work is done, and return its results.

        Raises:
            Exception: what the work raised.
        """
        done = wait(self._running, return_when=FIRST_COMPLETED).done
        self._free += [self._running.pop(future) for future in done]
        return [future.result() for future in done]

    def close(self) -> None:
        """Interrupt what is still running, and close the connections: DuckDB closes the file with the last one."""
        running: set[Future[NodeResult]] = {*self._running}
        while running:
            # Again and again, since an interrupt between two statements is lost.
            for connection in self._running.values():
                connection.interrupt()
            running = wait(running, _SECONDS_BETWEEN_INTERRUPTS).not_done
        self._pool.shutdown()
        for connection in self._connections:
            connection.close()
