"""An S3 service on loopback: moto's server, with requests that write one after another, and answers that fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

SECRET = "a-secret-key-of-this-test"
KEY_ID = "AKIATHISTEST"
BUCKET = "lake"


@dataclass
class S3:
    """A running service, and the environment of a process that uses it."""

    port: int
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request."""
    before: Callable[[str, str], None] = lambda _method, _path: None
    """Called before a request is carried out."""
    fails: Callable[[str, str], tuple[int, str] | None] = lambda _method, _path: None
    """Returns the status and the code of the error with which a request is answered; None to carry it out."""
    loses_answer: Callable[[str, str], bool] = lambda _method, _path: False
    """Returns whether a request is carried out and then answered with an error of the server."""
    ignores_conditions: bool = False

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def duckdb_secret(self) -> str:
        """SQL: the secret with which DuckDB reads from the service."""
        return (
            f"create secret s3 (type s3, key_id '{KEY_ID}', secret '{SECRET}', region 'eu-central-1', "
            f"endpoint '127.0.0.1:{self.port}', url_style 'path', use_ssl false)"
        )

    @cached_property
    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="eu-central-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
        )

    def client(self) -> Any:
        """Return a client of the tests' own."""
        return self._client

    def list_keys(self, prefix: str = "") -> list[str]:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    def content(self, key: str) -> bytes:
        return bytes(self.client().get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def reset(self) -> None:
        """Delete all objects, and answer every request again."""
        self.fails = lambda _method, _path: None
        self.loses_answer = lambda _method, _path: False
        self.before = lambda _method, _path: None
        self.ignores_conditions = False
        for key in self.list_keys():
            self.client().delete_object(Bucket=BUCKET, Key=key)
        self.requests.clear()


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def serve_s3() -> Iterator[S3]:
    """Serve one bucket on a free port."""
    backend = DomainDispatcherApplication(create_backend_app)
    writing = threading.Lock()
    service = S3(0)

    def application(environ: dict[str, Any], start: Any) -> Any:
        request = Request(environ, populate_request=False)
        method, path = request.method, request.full_path.rstrip("?")
        service.requests.append((method, path))
        service.before(method, path)
        if failure := service.fails(method, path):
            status, code = failure
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{SECRET}</Message></Error>"
            return Response(body, status, content_type="application/xml")(environ, start)
        if service.ignores_conditions:
            environ.pop("HTTP_IF_MATCH", None)
            environ.pop("HTTP_IF_NONE_MATCH", None)
        if method == "GET":
            return backend(environ, start)
        # moto checks a condition and writes in two steps; S3 does it in one.
        with writing:
            answer = list(backend(environ, start))
        if service.loses_answer(method, path):
            return Response("<Error><Code>InternalError</Code></Error>", 500)(environ, start)
        return answer

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
    service.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        service.client().create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield service
    finally:
        server.shutdown()
        thread.join()
