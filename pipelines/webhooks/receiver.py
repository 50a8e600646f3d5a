"""The HTTP server that receives deliveries of webhooks (`rivo serve webhooks`).

It answers 200 only after a delivery is on the disk. Anything else makes the sender try again later, or is a refusal.
TLS is the task of the proxy in front of it.
"""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import duckdb
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pipelines.errors import RivoError, SettingsError, WarehouseError
from pipelines.settings import Settings
from pipelines.warehouse import RAW, Warehouse
from pipelines.warehouse.journals import WEBHOOKS
from pipelines.webhooks.deliveries import (
    add,
    copy_erased_people,
    erased_people,
    open_deliveries,
    transaction,
)
from pipelines.webhooks.signatures import Refusal, Signed, verify
from pipelines.webhooks.treatment import Identifier, Treatment, delivery_of

PATH = "/webhooks"
"""The path that deliveries are sent to: alone, or followed by the topic, as in `/webhooks/points_event/created`."""
LARGEST_BODY = 1_000_000
"""Size in bytes of the largest body; Rivo's samples have about two thousand."""
_BODY_SECONDS = 20.0
"""How long a body may take to arrive."""
_MOST_CONNECTIONS = 200
_KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays open: longer than the 60 seconds of usual proxies, so that they close it first."""
_SHUTDOWN_SECONDS = 5
Notice = Callable[[str], None]


class Recorder:
    """Writes deliveries into the journal, durably. Its methods are called from one thread."""

    def __init__(self, warehouse: Warehouse, settings: Settings) -> None:
        self._path = warehouse.journal(WEBHOOKS)
        self._settings = settings
        self._open = ExitStack()
        self._journal: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._erased: list[Identifier] = []
        self._treatment = Treatment(settings, ())

    def record(self, signed: Signed, body: bytes) -> bool:
        """Keep a delivery, unless the journal has it already; return whether it is new.

        Raises:
            WarehouseError: the journal cannot be opened.
            sqlite3.Error: the journal cannot be written.
            SettingsError: people were erased under another RIVO_PII_KEY.
        """
        delivery = delivery_of(signed, body, datetime.now(UTC))
        try:
            journal = self.journal()
            # An erasure that runs now waits for this transaction, or this one for the erasure.
            with transaction(journal):
                return add(journal, self._treatment_of(journal).apply(delivery))
        except sqlite3.Error:
            self.close()
            raise

    def journal(self) -> sqlite3.Connection:
        """Return the open journal; it is opened again if its file was replaced."""
        if self._journal is None or _identity(self._path) != self._file:
            self.close()
            self._journal = self._open.enter_context(open_deliveries(self._path))
            self._file = _identity(self._path)
        return self._journal

    def close(self) -> None:
        """Close the journal."""
        self._journal = None
        self._open.close()

    def begin(self, erased: Sequence[Identifier] | None) -> None:
        """Open the journal, and let it recognise the people whom the warehouse has erased; None if that is unknown.

        Raises:
            WarehouseError, SettingsError: as `record`.
        """
        if erased is not None:
            copy_erased_people(self.journal(), erased)
        self.check()

    def check(self) -> None:
        """Check that a delivery could be kept now; raises as `record` does."""
        self._treatment_of(self.journal())

    def _treatment_of(self, journal: sqlite3.Connection) -> Treatment:
        erased = erased_people(journal)
        if erased != self._erased:
            self._treatment, self._erased = Treatment(self._settings, erased), erased
        return self._treatment


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@dataclass(frozen=True)
class Inbox:
    """Where the deliveries of one shop go."""

    recorder: Recorder
    secrets: Sequence[str]
    """The secrets that signatures may be made with."""
    prefix: str = ""
    """What the path of the shop's deliveries begins with: `/de` for the shop de of several."""


def application(inboxes: Sequence[Inbox], thread: ThreadPoolExecutor, notice: Notice) -> Starlette:
    """Return the ASGI application.

    Args:
        inboxes: one for each shop.
        thread: the single thread that calls the recorders.
        notice: called with a sentence for each delivery that was refused or could not be kept.
    """

    def check() -> None:
        for inbox in inboxes:
            inbox.recorder.check()

    async def health(_request: Request) -> Response:
        return await _in_thread(thread, check, notice) or PlainTextResponse("Ready.\n")

    return Starlette(
        routes=[
            *(route for inbox in inboxes for route in _routes(inbox, thread, notice)),
            Route("/health", health),
        ]
    )


def _routes(inbox: Inbox, thread: ThreadPoolExecutor, notice: Notice) -> list[Route]:
    shop = f"{inbox.prefix.removeprefix('/')}: " if inbox.prefix else ""

    async def receive(request: Request) -> Response:
        try:
            body = await _body(request)
            headers = {name.lower(): value for name, value in request.headers.items()}
            topic = request.path_params.get("topic")
            signed = verify(headers, body, inbox.secrets, datetime.now(UTC), topic)
        except Refusal as refusal:
            notice(f"{shop}Refused a delivery: {refusal.sentence}")
            return PlainTextResponse(f"{refusal.sentence}\n", refusal.status)
        keep = partial(inbox.recorder.record, signed, body)
        return await _in_thread(thread, keep, notice, shop) or PlainTextResponse("Kept.\n")

    path = inbox.prefix + PATH
    return [Route(path, receive, methods=["POST"]), Route(path + "/{topic:path}", receive, methods=["POST"])]


async def _in_thread(
    thread: ThreadPoolExecutor, call: Callable[[], object], notice: Notice, shop: str = ""
) -> Response | None:
    """Call a recorder; return an answer only where that failed."""
    try:
        await asyncio.get_running_loop().run_in_executor(thread, call)
    except (RivoError, sqlite3.Error) as error:
        sentence = str(error).rstrip(".")
        notice(f"{shop}A delivery could not be kept, so Rivo is asked to send it again: {sentence}.")
        return PlainTextResponse("Not kept. Send it again later.\n", 503, {"Retry-After": "60"})
    return None


async def _body(request: Request) -> bytes:
    """Read the body.

    Raises:
        Refusal: it is too large, too slow, or was broken off.
    """
    too_large = Refusal(413, f"The body has more than {LARGEST_BODY:,} bytes.")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > LARGEST_BODY:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST_BODY:
                    raise too_large
    except TimeoutError:
        raise Refusal(408, f"The body did not arrive within {_BODY_SECONDS:.0f} seconds.") from None
    except ClientDisconnect:
        raise Refusal(400, "The connection was closed before the body was complete.") from None
    return bytes(body)


def serve(shops: Sequence[tuple[Warehouse, Settings]], host: str, port: int, notice: Notice) -> None:
    """Receive deliveries until the process gets a signal to stop.

    Args:
        shops: for each shop the warehouse, beside which deliveries are kept in a journal, and the settings: the secret,
            RIVO_PII and RIVO_PII_KEY.
        host: address to listen on.
        port: port to listen on; 0 chooses a free one.
        notice: called with sentences: where it listens, and what went wrong.

    Raises:
        SettingsError: RIVO_WEBHOOK_SECRET is not set, or people were erased under another RIVO_PII_KEY.
        WarehouseError: the journal cannot be used.
        RivoError: the address cannot be listened on.
    """
    used = [(warehouse, settings) for warehouse, settings in shops if settings.webhook_secrets]
    if without := [
        settings.variable("webhook_secret") for _, settings in shops if not settings.webhook_secrets
    ]:
        verb = "is" if len(without) == 1 else "are"
        missing = f"{', '.join(without)} {verb} not set, and without a secret no delivery can be verified"
        if not used:
            raise SettingsError(
                f"{missing}. Rivo shows the secret in its settings, where you create the webhook. Put it into .env "
                "(docs/webhooks.md)."
            )
        notice(f"{missing}: none is received for these shops.")
    with ThreadPoolExecutor(1, "journal") as thread:
        inboxes = []
        for warehouse, settings in used:
            recorder = Recorder(warehouse, settings)
            thread.submit(recorder.begin, _erased_in(warehouse, notice)).result()
            inboxes.append(
                Inbox(recorder, settings.webhook_secrets, f"/{settings.shop}" if settings.shop else "")
            )
        listening = _listen(host, port)
        shown = f"[{host}]" if ":" in host else host
        for (warehouse, _), inbox in zip(used, inboxes, strict=True):
            notice(
                f"Receiving webhooks at http://{shown}:{listening.getsockname()[1]}{inbox.prefix}{PATH}. Deliveries "
                f"are kept in {warehouse.journal(WEBHOOKS)}."
            )
        try:
            uvicorn.Server(
                uvicorn.Config(
                    application(inboxes, thread, notice),
                    loop="asyncio",
                    ws="none",
                    lifespan="off",
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    proxy_headers=False,
                    limit_concurrency=_MOST_CONNECTIONS,
                    timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                    timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
                )
            ).run(sockets=[listening])
        finally:
            for inbox in inboxes:
                thread.submit(inbox.recorder.close).result()


def _erased_in(warehouse: Warehouse, notice: Notice) -> Sequence[Identifier] | None:
    """Return the identifiers of the people whom the warehouse has erased; None if it cannot be read now."""
    if not warehouse.base.exists:
        return ()
    try:
        with warehouse.base.read() as connection:
            return connection.execute(
                f"select identifier, customer_key, key_check from {RAW}._forgotten"
            ).fetchall()
    except duckdb.CatalogException:
        # Written by a release that could not erase a person.
        return ()
    except WarehouseError as error:
        notice(f"{error} Until then, people are recognised who were erased before the last sync.")
        return None


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=128)
        # Connections inherit it. Otherwise the second part of each answer waits 40 ms for an acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RivoError(
            f"Cannot listen on {host}, port {port} ({reason}). Choose another port with --port, or end the process "
            "that uses this one."
        ) from None
