"""Calls that changed the shop, in a file, so that a sandbox that is started again has them too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sandbox.clock import parse
from sandbox.program import Program
from sandbox.writes import Refused, Shop, write


class Journal:
    """A file with one line of JSON for each call, in the order of the calls."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def replay(self, program: Program) -> None:
        """Repeat the calls of the file, each at the time at which it was made."""
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8").splitlines():
            call = json.loads(line)
            shop = Shop(program, parse(call["at"]), [], call["recalculates_tiers"])
            try:
                write(shop, call["method"], call["path"], call["fields"])
            except Refused:
                # A batch lands in part, and the shop's history may have changed between two releases.
                continue

    def append(
        self, at: datetime, method: str, path: str, fields: Mapping[str, Any], *, recalculates_tiers: bool
    ) -> None:
        """Add a call to the file."""
        call = {
            "at": at.isoformat(),
            "method": method,
            "path": path,
            "fields": fields,
            "recalculates_tiers": recalculates_tiers,
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(call) + "\n")
