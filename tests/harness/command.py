"""The `rivo` command in a process of its own, without the seconds that each start would spend on imports.

A server process imports the third-party packages once and forks a child for each command. The child imports the
project's own modules itself, with its own environment, as a user's process does.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from functools import lru_cache
from pathlib import Path

_SERVER = """
import json, os, sys, traceback

for module in json.loads(sys.stdin.readline()):
    __import__(module)

def run(job):
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    for number, name in ((0, os.devnull), (1, job["stdout"]), (2, job["stderr"])):
        file = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0)
    sys.argv = job["command"]
    sys.path[:] = [*filter(None, job["env"].get("PYTHONPATH", "").split(os.pathsep)), *filter(None, sys.path)]

for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if not child:
        run(job)
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
from cli.main import main
sys.exit(main())
"""

# Not duckdb, pyarrow and numpy: their imports start threads, and a forked process has none of them.
_PACKAGES = (
    *(
        "click",
        "dagster",
        "dlt",
        "msgspec",
        "pydantic_settings",
        "rich.console",
        "rich.progress",
        "rich.table",
    ),
    *("sqlalchemy", "sqlglot.dialects.duckdb", "upath", "urllib3"),
)


TIMEOUT_SECONDS = 300


@lru_cache(maxsize=1)
def _server() -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        env={"PATH": os.environ["PATH"], "DO_NOT_TRACK": "1"},
        cwd=tempfile.gettempdir(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin
    server.stdin.write(json.dumps(_PACKAGES) + "\n")
    server.stdin.flush()
    atexit.register(_stop, server)
    return server


def _stop(server: subprocess.Popen[str]) -> None:
    # It ends at the end of its input; a wait for it adds its CPU time to that of the tests.
    if server.stdin:
        server.stdin.close()
    server.wait(10)


def run_command(command: list[str], env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `rivo` to its end, as `subprocess.run` does with captured output."""
    server = _server()
    assert server.stdin
    assert server.stdout
    with tempfile.TemporaryDirectory(prefix="rivo-") as folder:
        stdout, stderr = Path(folder) / "stdout", Path(folder) / "stderr"
        job = {"command": command, "env": env, "cwd": str(cwd), "stdout": str(stdout), "stderr": str(stderr)}
        timer = threading.Timer(TIMEOUT_SECONDS, server.kill)
        timer.daemon = True
        timer.start()
        server.stdin.write(json.dumps(job) + "\n")
        server.stdin.flush()
        code = server.stdout.readline()
        timer.cancel()
        assert code, f"no end of the command after {TIMEOUT_SECONDS} s, or its server has ended: {command}"
        return subprocess.CompletedProcess(command, int(code), stdout.read_text(), stderr.read_text())
