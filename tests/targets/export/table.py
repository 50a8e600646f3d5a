"""The tables of docs/engines.md: what each engine builds, and what it cannot. The tests hold them equal.

`REWRITE=1 make test-export` rewrites them.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.settings import PROJECT
from tests.targets.export.running_dbt import Built

DOCUMENT = PROJECT / "docs" / "engines.md"


@dataclass(frozen=True)
class Proof:
    """The findings on one engine."""

    engine: str
    """Name and version."""
    models: int
    equal: int
    built: Built
    exceptions: Mapping[str, str]
    """Models that are not equal, with the reason."""

    @property
    def lines(self) -> str:
        """The lines of the engine in the document."""
        listed = "".join(f"\n| `{name}` | {reason} |" for name, reason in self.exceptions.items())
        rows = f"\n\n| not exported or not equal | reason |\n|---|---|{listed}" if listed else ""
        tests = f"all {self.built.tests} tests give the same result"
        return f"{self.engine}: **{self.equal} of {self.models} models are equal**, and {tests}.{rows}"


def check_document(dialect: str, proof: Proof) -> None:
    """Compare the lines of an engine in the document with what was found, or rewrite them."""
    pattern = re.compile(rf"(<!-- proof: {dialect} -->\n).*?(<!-- end -->)", re.DOTALL)
    with DOCUMENT.open("r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        wanted = pattern.sub(lambda match: f"{match[1]}{proof.lines}\n{match[2]}", text)
        if os.environ.get("REWRITE"):
            file.seek(0)
            file.write(wanted)
            file.truncate()
            return
    assert text == wanted, (
        f"docs/engines.md says something else. Run REWRITE=1 make test-export.\n{proof.lines}"
    )
