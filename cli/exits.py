"""The exit codes of every `rivo` command, in one place."""

from __future__ import annotations

DONE = 0
FAILED = 1
USAGE = 2
NO_WAREHOUSE = 3
STALE = 4
INTERRUPTED = 130
TERMINATED = 143
BROKEN_PIPE = 141

EXIT_CODES = {
    DONE: "done, all well",
    FAILED: "something failed: a list, a model, a blocking check, the SQL, a setting; status: the last sync failed",
    USAGE: "wrong usage: an unknown option, list or format",
    NO_WAREHOUSE: "there is no warehouse yet",
    STALE: "status alone: the last sync is older than the schedule allows",
    INTERRUPTED: "stopped by Ctrl-C; the warehouse is whole (143: by SIGTERM)",
}


def help_text() -> str:
    """The codes as `rivo --help` shows them."""
    return "\n".join(f"  {code:<4} {meaning}" for code, meaning in EXIT_CODES.items())
