"""An install with two shops, each with a store of its own over HTTP."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sandbox import Program, ProgramOptions, Server, serve
from tests.harness.command import run_command
from tests.harness.settings import RIVO, environment

KEYS = {"de": "shpka-of-de-0123456789abcdef", "fr": "shpka-of-fr-fedcba9876543210"}
_ZONES = {"de": "Europe/Berlin", "fr": "Europe/Paris"}


@dataclass
class TwoShops:
    """The stores of the shops `de` and `fr`, and the folder of the install that reads them."""

    servers: dict[str, Server]
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    """Further variables of the environment."""

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment of the `rivo` command."""
        of_shops: dict[str, str] = {}
        for name, server in self.servers.items():
            of_shops |= {
                f"RIVO_SHOP_{name.upper()}_API_KEY": KEYS[name],
                f"RIVO_SHOP_{name.upper()}_API_URL": server.url,
                f"RIVO_SHOP_{name.upper()}_TIMEZONE": _ZONES[name],
            }
        return environment(
            self.folder,
            **{
                "RIVO_SHOPS": "de,fr",
                "RIVO_WAREHOUSE": str(self.folder / "data" / "rivo.duckdb"),
                "RIVO_RATE_LIMIT": "10000",
                "RIVO_PATIENCE_SECONDS": "5",
                **of_shops,
                **self.variables,
                **variables,
            },
        )

    def rivo(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `rivo ARGUMENTS` in this install."""
        command, env = [RIVO, *arguments], self.environment(**variables)
        if arguments[0] != "sync" or "--shop" in arguments:
            return run_command(command, env, self.folder)
        # In a process of its own, since it forks processes that have imported everything, as for a user.
        return subprocess.run(
            command, env=env, cwd=self.folder, capture_output=True, text=True, timeout=300, check=False
        )

    def file(self, shop: str) -> Path:
        """Return the warehouse of a shop."""
        return self.folder / "data" / "shops" / f"{shop}.duckdb"


@contextmanager
def two_stores() -> Iterator[dict[str, Server]]:
    """Serve two small stores that have no customer in common."""
    small = {
        "de": ProgramOptions(seed=7, customers=60, months=3),
        "fr": ProgramOptions(seed=8, customers=40, months=3),
    }
    with (
        serve(Program(small["de"]), key=KEYS["de"], rate_limit=0) as de,
        serve(Program(small["fr"]), key=KEYS["fr"], rate_limit=0) as fr,
    ):
        yield {"de": de, "fr": fr}
