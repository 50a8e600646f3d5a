"""Exit codes of the `rivo` command."""

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
    DONE: "success",
    FAILED: "failure: a list, a model, a blocking check, the SQL or a setting; status: the last sync failed",
    USAGE: "usage error: an unknown option, list or format",
    NO_WAREHOUSE: "there is no warehouse yet",
    STALE: "status only: the last sync is older than the schedule allows",
    INTERRUPTED: "stopped by Ctrl-C; the warehouse is intact (143: by SIGTERM)",
}


def help_text() -> str:
    """Return the table of codes that `rivo --help` shows."""
    return "\n".join(f"  {code:<4} {meaning}" for code, meaning in EXIT_CODES.items())
