"""What lies between a client and a server: a TCP relay (with TLS, with jitter) and an HTTP proxy, on loopback."""

from __future__ import annotations

import base64
import hashlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

import trustme
from cryptography import x509

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


class _Threads(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


class Authority:
    """A certificate authority that no machine trusts, with its certificate in a file."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.file = folder / "company ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def hash_of_name(self) -> int:
        """Return the number by which OpenSSL names the file: a hash of the name, in lower case and as UTF-8."""
        name = x509.load_pem_x509_certificate(self.file.read_bytes()).subject
        parts = []
        for attribute in name:
            text = " ".join(str(attribute.value).lower().split())
            # Without the tag and the length of the sequence that holds the one attribute.
            parts.append(x509.Name([x509.NameAttribute(attribute.oid, text)]).public_bytes()[2:])
        return int.from_bytes(hashlib.sha1(b"".join(parts)).digest()[:4], "little")

    def server(self, *names: str, expires: datetime | None = None) -> ssl.SSLContext:
        """Return the TLS context of a server with these host names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names, not_after=expires).configure_cert(context)
        return context


def pump(one: socket.socket, other: socket.socket, delay: Callable[[], float] = lambda: 0.0) -> None:
    """Copy bytes in both directions until one side closes; `delay` is the seconds for which each request is held."""
    pairs = {one: other, other: one}
    while True:
        ready = [each for each in pairs if isinstance(each, ssl.SSLSocket) and each.pending()]
        for source in ready or select.select(list(pairs), [], [], 30)[0]:
            data = source.recv(65_536)
            if not data:
                return
            if source is one:
                time.sleep(delay())
            pairs[source].sendall(data)


@contextmanager
def relay(
    to: int, *, tls: ssl.SSLContext | None = None, delay: Callable[[], float] = lambda: 0.0
) -> Iterator[int]:
    """Yield the port of a relay to the port `to`, which ends TLS and holds requests back."""

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                ours = tls.wrap_socket(self.request, server_side=True) if tls else self.request
                with socket.create_connection(("127.0.0.1", to)) as theirs:
                    theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    pump(ours, theirs, delay)

    with _running(_Threads(("127.0.0.1", 0), Handler)) as port:
        yield port


@dataclass
class Proxy:
    """A running proxy. It sends every request to one port, whatever its host is, so that no name must be resolved.

    Attributes:
        address: host and port.
        lines: method and target of each request received, refused ones included.
        status: answers all requests with this status, if set.
    """

    address: str
    lines: list[str] = field(default_factory=list)
    status: int | None = None


@contextmanager
def proxy(to: int, login: str | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """Serve an HTTP proxy in front of the port `to`; `login` is "user:password" where it requires one."""
    needed = login and "Basic " + base64.b64encode(login.encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def _is_refused(self) -> bool:
            running.lines.append(f"{self.command} {self.path}")
            status = running.status
            if needed and self.headers.get("Proxy-Authorization") != needed:
                status = 407
            if status:
                self._answer(status, "text/html", b"<html>The company's proxy</html>")
            return bool(status)

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_CONNECT(self) -> None:
            if self._is_refused():
                return
            with socket.create_connection(("127.0.0.1", to)) as upstream, suppress(OSError):
                self.send_response(200)
                self.end_headers()
                self.wfile.flush()
                pump(self.connection, upstream)
            self.close_connection = True

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if self._is_refused():
                return
            parts = urlsplit(self.path)
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            passed = [
                f"{name}: {value}" for name, value in self.headers.items() if not name.startswith("Proxy-")
            ]
            head = "\r\n".join([f"{self.command} {target} HTTP/1.1", *passed, "Connection: close", "", ""])
            with socket.create_connection(("127.0.0.1", to)) as upstream:
                upstream.sendall(head.encode() + body)
                while data := upstream.recv(65_536):
                    self.wfile.write(data)
            self.close_connection = True

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    running = Proxy(f"127.0.0.1:{server.server_port}")
    with _running(server):
        yield running


@contextmanager
def _running(server: ThreadingTCPServer | ThreadingHTTPServer) -> Iterator[int]:
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
