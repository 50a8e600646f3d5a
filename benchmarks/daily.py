"""One daily sync through Dagster in a process of its own, timed by part.

`python -m benchmarks.daily` runs a sync with the settings of the environment and prints one line of JSON: seconds by
part, `total`, and `cpu`, the seconds of the processors. Parts are measured by wrapping functions; time in nested parts
counts for the inner one only.
"""

from __future__ import annotations

import time

_BEGAN = time.perf_counter()

import json  # noqa: E402
import sys  # noqa: E402
from collections import defaultdict  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from functools import wraps  # noqa: E402
from typing import Any  # noqa: E402

_seconds: defaultdict[str, float] = defaultdict(float)
_running: list[str] = ["Dagster around the step"]
_since = _BEGAN


def _switch() -> None:
    global _since
    now = time.perf_counter()
    _seconds[_running[-1]] += now - _since
    _since = now


def _enter(part: str) -> None:
    _switch()
    _running.append(part)


def _leave() -> None:
    _switch()
    _running.pop()


def _timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        _enter(part)
        try:
            return function(*args, **kwargs)
        finally:
            _leave()

    return timed


def _timed_generator(part: str, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    @wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Iterator[Any]:
        generator = function(*args, **kwargs)
        while True:
            _enter(part)
            try:
                item = next(generator)
            except StopIteration:
                return
            finally:
                _leave()
            yield item

    return timed


def main() -> None:
    """Run one sync and print the seconds by part."""
    _enter("imports and definitions")

    from cli.main import collect_less_often

    # As the command does.
    collect_less_often()
    import runs.run as run
    from assets.instance.storage import OpenSqliteEventLogStorage
    from cli.commands import run_job
    from cli.commands.sync_choices import SyncChoices
    from cli.terminal.interrupts import heard
    from pipelines.load.landing import Landing
    from pipelines.warehouse import Build

    _leave()
    setattr(Landing, "load", _timed("lists: read, compare, load", Landing.load))  # noqa: B010
    run.sync_lists = _timed_generator("lists: histories, log, the rest", run.sync_lists)
    run.build = _timed_generator("models", run.build)
    runner: Any = sys.modules["dbt_like_sql.runner.build"]
    runner.run_tests = _timed_generator("data tests", runner.run_tests)
    run._page = _timed("samples and pictures", run._page)
    for name in ("keep", "publish"):
        setattr(Build, name, _timed("publish", getattr(Build, name)))
    for name in ("store_event", "store_event_batch"):
        setattr(
            OpenSqliteEventLogStorage,
            name,
            _timed("Dagster's event log", getattr(OpenSqliteEventLogStorage, name)),
        )
    stdout, sys.stdout = sys.stdout, sys.stderr
    with heard() as signalled:
        code = run_job.run_sync(signalled, SyncChoices(), as_json=False)
    sys.stdout = stdout
    _switch()
    measured = {"total": sum(_seconds.values()), "cpu": time.process_time()}
    print(json.dumps({**_seconds, **measured, "passed": code == 0}))


if __name__ == "__main__":
    main()
