"""A minimal client of the sandbox."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from sandbox import Server


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def ids(self) -> list[int]:
        return [row["id"] for row in self.json["data"]]


def call(server: Server, path: str, method: str = "GET", key: str | None = None, **more: Any) -> Response:
    """Send one request on a new connection; `params`, `body` and `content_type` are keyword arguments."""
    host = urlsplit(server.url).netloc
    connection = HTTPConnection(host, timeout=60)
    try:
        if more.get("params"):
            path = f"{path}?{urlencode(more['params'])}"
        prefix = "" if path.startswith("/_sandbox") else "/merchant_api/v1"
        headers = {"Authorization": server.key if key is None else key}
        if more.get("content_type"):
            headers["Content-Type"] = more["content_type"]
        connection.request(method, prefix + path, body=more.get("body"), headers=headers)
        response = connection.getresponse()
        return Response(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def send(server: Server, path: str, method: str = "POST", **fields: Any) -> Response:
    """Send a call that changes the shop, its fields as a form."""
    form = "application/x-www-form-urlencoded"
    return call(server, path, method, body=urlencode(fields), content_type=form)


def send_json(server: Server, path: str, body: Any) -> Response:
    """Send a call that changes the shop, as JSON."""
    return call(server, path, "POST", body=json.dumps(body), content_type="application/json")


def cursor(
    server: Server,
    name: str,
    since_id: int = 0,
    limit: int | None = 250,
    params: dict[str, str] | None = None,
) -> Response:
    """Request one page by cursor."""
    asked: dict[str, Any] = {"pagination[since_id]": since_id, **(params or {})}
    if limit is not None:
        asked["pagination[limit]"] = limit
    return call(server, f"/{name}", params=asked)


def walk(server: Server, name: str) -> list[dict[str, Any]]:
    """Read a whole list by cursor."""
    rows: list[dict[str, Any]] = []
    since_id: int | None = 0
    while since_id is not None:
        page = cursor(server, name, since_id).json
        rows += page["data"]
        since_id = page["links"]["next_since_id"]
    return rows
