"""A stub HTTP server that answers what a test defines: for answers that the sandbox store never gives."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

DATE = "Mon, 05 Oct 2026 06:00:00 GMT"


@dataclass
class Reply:
    """An answer. A body that is not bytes is sent as JSON."""

    body: Any = None
    status: int = 200
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    date: str | None = DATE


@dataclass
class Asked:
    """A request as received."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]


class Stub:
    """The address of the server and the requests it has received."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []


@contextmanager
def answering(answer: Callable[[Asked, int], Reply]) -> Iterator[Stub]:
    """Serve on loopback; `answer` gets the request and its number from 0."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one write: a client that acknowledges late would add 40 ms to every answer.
        wbufsize = -1

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            asked = Asked(parts.path, dict(parse_qsl(parts.query)), dict(self.headers.items()))
            stub.asked.append(asked)
            reply = answer(asked, len(stub.asked) - 1)
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response_only(reply.status)
            if reply.date:
                self.send_header("Date", reply.date)
            for name, value in {
                "Content-Type": reply.kind,
                "Content-Length": str(len(body)),
                **reply.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    stub = Stub(f"http://127.0.0.1:{http.server_address[1]}/merchant_api/v1")
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def page(ids: list[Any], **links: Any) -> Reply:
    """Return a page of rows with only an id."""
    return Reply({"links": links, "data": [{"id": id, "type": "x", "attributes": {"id": id}} for id in ids]})
