"""The `rivo` command in a process of its own, without the seconds that each start would spend on the same work.

A server process imports the third-party packages and the project's modules, and parses the shipped SQL models, once.
It forks a child for each command, which gets an environment, a folder and files for its output of its own and then runs
as a user's process does. What reads the environment when it is imported, `assets.definitions` and the module that
imports it, the child imports itself. With a PYTHONPATH, where a test has put another SQL project, or with a settings
file, the child imports and parses all of the project itself.

A process with threads must not be forked: its child has none of them, and waits for locks that they hold. The imports
of numpy, pyarrow and duckdb start threads unless the environment forbids it. That of the server does, and it makes
sure that it has a single thread. The commands do not inherit these variables, and start threads as they need them.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from signal import SIGKILL

_SERVER = """
import functools, gc, importlib, json, os, resource, sys, tempfile

packages, own = json.loads(sys.stdin.readline())
gc.disable()
for module in packages:
    importlib.import_module(module)
# Before any module has taken the function from there.
runner = importlib.import_module("dbt_like_sql.runner")
load = functools.cache(runner.load_project)
load()
selection = ""

@functools.cache
def load_part(*arguments, **keywords):
    from tests.harness.models import part
    return part(load(*arguments, **keywords), selection)

def load_project(*arguments, **keywords):
    return (load_part if selection else load)(*arguments, **keywords)

runner.load_project = load_project
for module in own:
    importlib.import_module(module)
own = {module.partition(".")[0] for module in own}
# A collection in a child would copy the memory of every object that the server has.
gc.collect()
gc.freeze()
gc.enable()

def run(job):
    global selection
    selection = job["selection"]
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    if job["leads_group"]:
        os.setsid()
    for number, name in ((0, os.devnull), (1, job["stdout"]), (2, job["stderr"])):
        file = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0)
    sys.argv = job["command"]
    path = [*filter(None, job["env"].get("PYTHONPATH", "").split(os.pathsep))]
    sys.path[:] = [*path, *filter(None, sys.path)]
    # pipelines.settings takes the name of the settings file when it is imported.
    if path or job["env"].get("RIVO_ENV_FILE") != os.devnull:
        assert not selection, "this command loads another project"
        for module in [name for name in sys.modules if name.partition(".")[0] in own]:
            del sys.modules[module]
    # Found by the server, with its own environment.
    tempfile.tempdir = None
    if job["file_limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_limit"], job["file_limit"]))

for line in sys.stdin:
    job = json.loads(line)
    if os.path.exists("/proc/self/task"):
        assert len(os.listdir("/proc/self/task")) == 1, "an import has started a thread"
    child = os.fork()
    if not child:
        run(job)
        break
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
from cli.main import main
sys.exit(main())
"""

SINGLE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "SLURM_CPUS_ON_NODE": "1",
}
"""Keeps numpy, pyarrow and duckdb, in this order, from starting threads."""

_PACKAGES = (
    *("click", "dagster", "dlt", "msgspec", "pydantic_settings", "sqlalchemy", "upath.core", "urllib3"),
    *("dlt.common.libs.pyarrow", "dlt.destinations.impl.duckdb.sql_client", "dlt.sources.helpers.requests"),
    *(
        "duckdb",
        "pandas",
        "pyarrow.dataset",
        "pyarrow.pandas_compat",
        "pyarrow.parquet",
        "sqlglot.dialects.duckdb",
    ),
    *(
        "jinja2.ext",
        "matplotlib.backends.backend_agg",
        "matplotlib.backends.backend_svg",
        "matplotlib.figure",
        "PIL.JpegImagePlugin",
    ),
    *("rich.console", "rich.progress", "rich.table", "encodings.idna", "fsspec.implementations.local"),
)
_OWN = (
    *("assets.instance.home", "assets.instance.storage", "assets.jobs", "assets.ops", "assets.sensors"),
    *(
        "cli.terminal.actions_output",
        "cli.commands.rebuild",
        "cli.main",
        "cli.terminal.models_output",
        "cli.terminal.status",
    ),
    *(
        "cli.terminal.status",
        "cli.terminal.sync_report",
        "dbt_like_sql.runner.docs",
        "dbt_like_sql.runner.impact",
    ),
    *(
        "pipelines.load.destination",
        "pipelines.privacy.erasure",
        "pipelines.rivo.doctor",
        "pipelines.rivo.report",
        "pipelines.rivo.source",
        "runs.report.writing",
        "runs.run",
        "runs.status",
    ),
)

TIMEOUT_SECONDS = 300


@lru_cache(maxsize=1)
def _server() -> subprocess.Popen[str]:
    # A home for the server: matplotlib keeps a list of the machine's fonts there.
    home = tempfile.TemporaryDirectory(prefix="rivo-server-")
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        env={
            "PATH": os.environ["PATH"],
            "HOME": home.name,
            "DO_NOT_TRACK": "1",
            "RIVO_ENV_FILE": os.devnull,
            **SINGLE_THREAD,
        },
        cwd=tempfile.gettempdir(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin
    server.stdin.write(json.dumps([_PACKAGES, _OWN]) + "\n")
    server.stdin.flush()
    atexit.register(_stop, server, home)
    return server


def _stop(server: subprocess.Popen[str], home: tempfile.TemporaryDirectory[str]) -> None:
    # It ends at the end of its input; a wait for it adds its CPU time to that of the tests.
    if server.stdin:
        server.stdin.close()
    server.wait(10)
    home.cleanup()


@dataclass
class Command:
    """A running `rivo`. The server runs one at a time: `wait` must be called before the next one is started."""

    command: list[str]
    pid: int
    folder: tempfile.TemporaryDirectory[str]

    @property
    def is_running(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def wait(self, seconds: float = TIMEOUT_SECONDS) -> subprocess.CompletedProcess[str]:
        """Wait for its end, and return what `subprocess.run` returns with captured output."""
        server = _server()
        assert server.stdout
        timer = threading.Timer(seconds, os.kill, (self.pid, SIGKILL))
        timer.daemon = True
        timer.start()
        code = server.stdout.readline()
        in_time = not timer.finished.is_set()
        timer.cancel()
        assert code, f"the server of this command has ended: {self.command}"
        assert in_time, f"no end of the command after {seconds} s: {self.command}"
        with self.folder as folder:
            stdout, stderr = Path(folder, "stdout").read_text(), Path(folder, "stderr").read_text()
        return subprocess.CompletedProcess(self.command, int(code), stdout, stderr)


def start_command(
    command: list[str],
    env: dict[str, str],
    cwd: Path,
    *,
    leads_group: bool = False,
    file_limit: int | None = None,
    selection: str = "",
) -> Command:
    """Start `rivo`.

    Args:
        command: the path of `rivo`, and its arguments.
        env: its whole environment.
        cwd: its working directory.
        leads_group: whether it is the head of a process group, which can be sent a signal as a whole.
        file_limit: largest size in bytes of a file that it writes.
        selection: the models that it knows, as dbt's selectors name them; all by default.
    """
    server = _server()
    assert server.stdin
    assert server.stdout
    folder = tempfile.TemporaryDirectory(prefix="rivo-")
    job = {
        "command": command,
        "env": env,
        "cwd": str(cwd),
        "leads_group": leads_group,
        "file_limit": file_limit,
        "selection": selection,
        "stdout": f"{folder.name}/stdout",
        "stderr": f"{folder.name}/stderr",
    }
    server.stdin.write(json.dumps(job) + "\n")
    server.stdin.flush()
    pid = server.stdout.readline()
    assert pid, "the server has ended, or could not start"
    return Command(command, int(pid), folder)


def run_command(
    command: list[str], env: dict[str, str], cwd: Path, *, selection: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `rivo` to its end, as `subprocess.run` does with captured output."""
    return start_command(command, env, cwd, selection=selection).wait()
