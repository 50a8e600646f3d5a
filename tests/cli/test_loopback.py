"""`rivo dev` listens on loopback only, since Dagster's UI has no authentication."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.cli.conftest import RIVO

_LISTENS = "0A"


def processes(session: int) -> list[int]:
    """Return the ids of the processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session:
                found.append(int(entry.name))
    return found


def listening(session: int) -> set[tuple[str, int]]:
    """Return address and port of every TCP socket that a session's processes listen on, from /proc."""
    inodes = set()
    for process in processes(session):
        for descriptor in Path(f"/proc/{process}/fd").glob("*"):
            try:
                inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
            except OSError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS and fields[9] in inodes:
                address, port = fields[1].split(":")
                words = [bytes.fromhex(address[n : n + 8])[::-1] for n in range(0, len(address), 8)]
                found.add((str(ipaddress.ip_address(b"".join(words))), int(port, 16)))
    return found


def is_loopback(text: str) -> bool:
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def test_rivo_dev_listens_on_loopback_only(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Started with SIGINT ignored, as a shell script starts background jobs: SIGTERM must still end it.
    process = subprocess.Popen(
        ["sh", "-c", 'trap \'\' INT; exec "$0" "$@"', RIVO, "dev", "--port", str(port)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "RIVO_ENV_FILE": os.devnull,
            "DAGSTER_HOME": str(tmp_path / "dagster"),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        found: set[tuple[str, int]] = set()
        while port not in {each for _, each in found} and time.monotonic() < deadline:
            time.sleep(0.5)
            found = listening(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)

    assert port in {each for _, each in found}
    assert all(is_loopback(address) for address, _ in found), found
