"""The command line of the benchmarks."""

from __future__ import annotations

import sys
from typing import NoReturn

import pytest

from benchmarks import __main__ as command


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    """Run `python -m benchmarks ARGUMENTS`, in which no process may be started; returns the exit status."""

    def refuse(*_: object, **__: object) -> NoReturn:
        pytest.fail("a benchmark was started")

    monkeypatch.setattr("subprocess.Popen", refuse)
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    return ended.value.code


def test_unknown_benchmark_exits_with_2_and_lists_the_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "cost", "sped") == 2

    errors = capsys.readouterr().err
    assert "sped" in errors
    assert ", ".join(command.BENCHMARKS) in errors


def test_help_describes_every_benchmark_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--help") == 0

    lines = capsys.readouterr().out.splitlines()
    for name, benchmark in command.BENCHMARKS.items():
        assert benchmark.__doc__
        assert [line.split(maxsplit=1) for line in lines].count([name, benchmark.__doc__]) == 1
