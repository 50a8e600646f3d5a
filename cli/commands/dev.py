"""`rivo dev` and `rivo serve`: start Dagster's own programs, and the receiver of webhooks."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI.")
def dev(port: int) -> None:
    """Start the Dagster UI and its daemon on this machine.

    The UI listens on 127.0.0.1 only. The schedule daily_sync is active while this command runs. On a server, use
    `rivo serve`.
    """
    _become("dagster", "dev", "-w", _workspace(None), "-h", "127.0.0.1", "-p", str(port))


_PARTS_OF = {
    "--host": ("webserver", "code", "webhooks"),
    "--port": ("webserver", "code", "webhooks"),
    "--workspace": ("webserver", "daemon"),
    "--path-prefix": ("webserver",),
}
"""The processes that use an option of `rivo serve`."""


@click.command()
@click.argument("part", type=click.Choice(["webserver", "daemon", "code", "webhooks"]))
@click.option("--host", help="Address that webserver, code and webhooks listen on. Default: 127.0.0.1.")
@click.option(
    "--port",
    type=int,
    help="Port to listen on. Default: 3000 for webserver, 4000 for code, 3500 for webhooks.",
)
@click.option(
    "--workspace",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Dagster's workspace file, for webserver and daemon. Default: workspace.yaml of the project.",
)
@click.option(
    "--path-prefix",
    metavar="PREFIX",
    help="Path at which a reverse proxy shows the UI, such as /dagster. For webserver only.",
)
def serve(
    part: str, host: str | None, port: int | None, workspace: Path | None, path_prefix: str | None
) -> None:
    """Start one of the processes of a server.

    webserver, daemon and code (the code location) are Dagster's processes, which systemd or Docker keeps running:
    docs/deploying.md. On your own machine, `rivo dev` starts all of them. webhooks receives Rivo's webhooks:
    docs/webhooks.md.
    """
    prefix = (path_prefix or "").strip("/")
    given = {"--host": host, "--port": port, "--workspace": workspace, "--path-prefix": prefix}
    for option in (name for name, value in given.items() if value and part not in _PARTS_OF[name]):
        *others, last = _PARTS_OF[option]
        users = f"{', '.join(others)} and {last}" if others else last
        raise click.UsageError(f"{option} is for {users}; {part} does not use it.")
    host = host or "127.0.0.1"
    if part == "webhooks":
        _receive_webhooks(host, 3500 if port is None else port)
    elif part == "webserver":
        options = ["-w", _workspace(workspace), "-h", host, "-p", str(port or 3000)]
        _become("dagster-webserver", *options, *(["--path-prefix", f"/{prefix}"] if prefix else []))
    elif part == "daemon":
        _become("dagster-daemon", "run", "-w", _workspace(workspace))
    else:
        _become("dagster", "api", "grpc", "-m", "assets.definitions", "-h", host, "-p", str(port or 4000))


def _receive_webhooks(host: str, port: int) -> None:
    from pipelines.settings import Settings
    from pipelines.warehouse import Warehouse
    from pipelines.webhooks.receiver import serve

    common = Settings.load()
    # Also without the API key, which this process does not need.
    shops = [
        (Warehouse.of_setting(settings.warehouse), settings)
        for settings in map(common.of_shop, common.shop_names or ("",))
    ]
    serve(shops, host, port, lambda text: click.echo(text, err=True))


def _workspace(path: Path | None) -> str:
    from pipelines.settings import PROJECT

    return str((path or PROJECT / "workspace.yaml").resolve())


def _become(program: str, *arguments: str) -> None:
    """Replace this process by a program installed beside this Python, in DAGSTER_HOME."""
    from assets.instance.home import prepare_dagster_home

    prepare_dagster_home()
    os.chdir(os.environ["DAGSTER_HOME"])
    path = str(Path(sys.executable).parent / program)
    os.execv(path, [path, *arguments])  # noqa: S606
