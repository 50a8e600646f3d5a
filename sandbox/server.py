"""Serves the API over HTTP/1.1 on loopback, in a thread of its own."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sandbox.api import BASE, Answer, Api, Request
from sandbox.faults import Fault, FaultLike
from sandbox.journal import Journal
from sandbox.program import Program
from sandbox.webhooks import Deliveries, Sender
from sandbox.writes import Mail


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _HttpServer

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):
            super().handle_one_request()
            return
        self.close_connection = True

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        headers = {name: self.headers.get(name, "") for name in ("Authorization", "Content-Type")}
        api = self.server.api
        answer = api.handle(self.command, self.path, headers, body)
        if self.server.latency_ms:
            self.server.wait(self.server.latency_ms / 1000)
        self._send(answer, api.date)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _send(self, answer: Answer, date: str) -> None:
        wire = {fault.name: fault.value for fault in answer.wire}
        if "slow" in wire:
            self.server.wait(float(wire["slow"] or 500) / 1000)
        if "hang" in wire:
            self.server.wait(float(wire["hang"] or 60))
        if "hang" in wire or "dropped" in wire:
            self.close_connection = True
            return
        reason = HTTPStatus(answer.status).phrase
        head = {
            "Date": date,
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.body)),
            **answer.headers,
        }
        body = answer.body
        if "truncated" in wire:
            self.close_connection = True
            head["Connection"] = "close"
            body = body[: len(body) // 2]
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        # A single write: separate ones would wait for the client's acknowledgement.
        self.wfile.write(f"HTTP/1.1 {answer.status} {reason}\r\n{lines}\r\n".encode("latin-1") + body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: `Server.requests` is the log."""


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], api: Api, latency_ms: float) -> None:
        self.api = api
        self.latency_ms = latency_ms
        self._stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def wait(self, seconds: float) -> None:
        """Sleep until the time has passed or the server stops."""
        self._stopping.wait(seconds)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not self._stopping.is_set():
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Stop answering and close open connections."""
        self._stopping.set()
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Server:
    """A running sandbox: its address, virtual time, faults and request log."""

    def __init__(self, http: _HttpServer) -> None:
        self._http = http
        self._api = http.api
        host, port = http.server_address[:2]
        name = f"[{host!s}]" if ":" in str(host) else str(host)
        self.root = f"http://{name}:{port}"
        self.url = self.root + BASE
        self.key = self._api.key
        self.program = self._api.program

    @property
    def now(self) -> datetime:
        """Virtual time. Set it to move the clock forwards or backwards."""
        return self._api.now

    @now.setter
    def now(self, moment: datetime) -> None:
        self._api.now = moment

    @property
    def date_offset(self) -> timedelta:
        """Offset of the `Date` header from the virtual time, to simulate a wrong clock with correct rows."""
        return self._api.date_offset

    @date_offset.setter
    def date_offset(self, offset: timedelta) -> None:
        self._api.date_offset = offset

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Active faults. Set them as Fault values, mappings or texts such as "http_500:customers=0.2"."""
        return self._api.board.faults

    @faults.setter
    def faults(self, faults: Iterable[FaultLike] | FaultLike) -> None:
        self._api.board.set(faults)

    @property
    def latency_ms(self) -> float:
        """Minimum time of each answer in milliseconds."""
        return self._http.latency_ms

    @latency_ms.setter
    def latency_ms(self, milliseconds: float) -> None:
        self._http.latency_ms = milliseconds

    @property
    def mails(self) -> list[Mail]:
        """Mails to customers that calls have caused so far. You may clear the list."""
        return self._api.mails

    @property
    def deliveries(self) -> Deliveries:
        """The deliveries of webhooks, if the server was started with a sender."""
        assert self._api.deliveries, "the server sends no webhooks"
        return self._api.deliveries

    @property
    def requests(self) -> list[Request]:
        """Requests to the API so far, in the order of their answers. You may clear the list."""
        return self._api.requests


@contextmanager
def serve(
    program: Program,
    now: datetime | None = None,
    port: int = 0,
    key: str = "sandbox-key",
    faults: Iterable[FaultLike] | FaultLike = (),
    rate_limit: float = 15,
    latency_ms: float = 0,
    host: str = "127.0.0.1",
    journal: Path | None = None,
    webhooks: Sender | None = None,
) -> Iterator[Server]:
    """Serve a programme on loopback inside a `with` block. Port 0 chooses a free port.

    Calls that change the shop are kept in the file `journal`, and those in it are repeated first. With a sender, calls
    that change the shop are reported by webhooks, and so is what happens when the clock moves forwards.
    """
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"the sandbox listens on loopback only, not on {host}")
    calls = Journal(journal) if journal else None
    deliveries = Deliveries(webhooks) if webhooks else None
    api = Api(program, now or program.options.end, key, faults, rate_limit, calls, deliveries)
    http = _HttpServer((host, port), api, latency_ms)
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), name="sandbox", daemon=True)
    thread.start()
    try:
        yield Server(http)
    finally:
        http.stop()
        thread.join()
        if deliveries:
            deliveries.stop()
