"""`python -m tests.torture [KIND ...]` runs all kinds and prints one table; exit status 1 when a promise broke."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.harness.store import Store
from tests.torture.actions import actions
from tests.torture.big import big
from tests.torture.clock import clock
from tests.torture.disk import disk
from tests.torture.faults import faults
from tests.torture.figures import Figures, table
from tests.torture.kill import kill
from tests.torture.readers import readers
from tests.torture.stores import torture_store
from tests.torture.two_at_once import two_at_once
from tests.torture.values import values

KINDS: dict[str, Callable[[Store, int], Figures]] = {
    "kill": kill,
    "faults": lambda store, _: faults(store),
    "readers": lambda store, _: readers(store, syncs=20),
    "two_at_once": lambda store, _: two_at_once(store, times=10),
    "disk": lambda store, _: disk(store, rounds=6),
    "clock": lambda store, _: clock(store, rounds=5),
    "values": lambda store, _: values(store, rounds=20),
    "actions": actions,
    "big": lambda store, _: big(store, page_mb=100),
}


def main() -> int:
    """Run the kinds of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "kinds",
        nargs="*",
        choices=[*KINDS, []],
        default=[],
        metavar="KIND",
        help=f"default: {', '.join(KINDS)}",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=7,
        help="the same seed gives the same store and the same order of events (7)",
    )
    parser.add_argument("--kills", type=int, default=100, help="number of killed syncs, and of applies (100)")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("RIVO_")]:
        del os.environ[name]
    os.environ["RIVO_ENV_FILE"] = os.devnull
    rows = []
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        for name in options.kinds or KINDS:
            customers = 300 if name == "big" else 40
            with torture_store(Path(folder) / name, options.seed, customers) as store:
                rows.append(KINDS[name](store, options.kills))
            print(
                f"{name}: {rows[-1].seconds:.0f} s, {len(rows[-1].problems)} broken promises", file=sys.stderr
            )
    print(f"seed {options.seed}\n\n{table(rows)}")
    return 1 if any(row.problems for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
