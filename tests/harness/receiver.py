"""`rivo serve webhooks` in a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.settings import RIVO, environment

SECRET = "whsec-0123456789abcdef"


class Receiver:
    """A receiver that can be killed and started again at the same port, beside the warehouse at `path`."""

    def __init__(self, path: Path, **variables: str) -> None:
        usual = {"RIVO_WAREHOUSE": str(path), "RIVO_WEBHOOK_SECRET": SECRET}
        self._env = environment(path.parent, **(usual | variables))
        self._port = 0
        self.said = ""
        self.start()

    @property
    def url(self) -> str:
        """Where it receives deliveries."""
        return f"http://127.0.0.1:{self._port}/webhooks"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.process = subprocess.Popen(
            [RIVO, "serve", "webhooks", "--port", str(self._port)],
            env=self._env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr
        listening = None
        while not listening:
            line = self.process.stderr.readline()
            assert line, self.said
            listening = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)?/webhooks", line)
            self.said += "" if listening else line
        self._port = int(listening[1])

    def stop(self) -> str:
        """Send SIGTERM, and return what it wrote but for the line that says where it listens."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        if self.process.stderr:
            self.said += self.process.stderr.read()
            self.process.stderr.close()
            self.process.stderr = None
        self.process.wait(timeout=60)
        return self.said


@contextmanager
def receiving(path: Path, **variables: str) -> Iterator[Receiver]:
    """Run a receiver while a `with` block lasts; `variables` are added to its environment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    receiver = Receiver(path, **variables)
    try:
        yield receiver
    finally:
        receiver.stop()
