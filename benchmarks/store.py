"""A store that answers as fast as possible, so that a benchmark measures the reader and not the store.

Unlike the sandbox, it does not simulate a programme: rows are generated from their numbers, so that their number
needs no memory. It runs in a process of its own: `python -m benchmarks.store --points_events 200000`.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

_BASE = "/merchant_api/v1/"
_DATE = b"Mon, 05 Oct 2026 06:00:00 GMT"

_CUSTOMER = (
    '{{"id":{id},"type":"customer","attributes":{{"id":{id},"email":"c{n}@example.com","first_name":"Ada",'
    '"last_name":"Number {n}","accepts_marketing":true,"orders_count":{orders},"verified_email":true,'
    '"total_spent":1{orders}.25,"shopify_tags":["vip","news"],"loyalty_status":"member",'
    '"loyalty_status_last_changed_at":"2026-01-05T09:30:00.000Z","points_tally":{points},'
    '"credits_tally":"1{orders}.50","points_expire_at":"May 02, 2027","credits_expire_at":null,"dob":"03-14",'
    '"dob_last_updated_at":null,"referral_url":"https://shop.example/r/{n}","referral_code":"R{n}",'
    '"vip_tier":{{"id":552288,"name":"Silver","threshold":500,"perks":[]}},"next_vip_tier":null,'
    '"lifetime_earnings_tally":{points},"completed_earning_rule_ids":[628340,628341],'
    '"remote_updated_at":"2026-09-01T10:00:00Z"}}}}'
)
_EVENT = (
    '{{"id":{id},"type":"points_event","attributes":{{"id":[812,{id}],"points_amount":{points},'
    '"points_diff":{points},"credits_amount":"0.0","applied_at":"2026-0{month}-{day:02d}T10:{minute:02d}:11.123Z",'
    '"approved_at":"2026-0{month}-{day:02d}T10:{minute:02d}:11.123Z","occurred_at":null,"expires_at":null,'
    '"per_event_expiration_at":null,"revoked_at":null,"hidden":null,"source":"order_placed","sourceable_id":{id},'
    '"order_id":{id},"earning_rule_id":628340,"points_purchases_id":null,"custom_action_name":null,'
    '"title":"Order placed","external_note":null,"internal_note":null,"customer":{{"id":{customer},'
    '"email":"c{n}@example.com","total_spent":290.16,"orders_count":2,"points_tally":{points},'
    '"credits_tally":"25.50","loyalty_status":"member"}}}}}}'
)
_REDEMPTION = (
    '{{"id":{id},"type":"points_redemption","attributes":{{"id":{id},"code":"REDEEM-{n:012x}",'
    '"name":"$5 off coupon","points_amount":500,"points_diff":-500,"credits_amount":"0.0",'
    '"applied_at":"2026-0{month}-{day:02d}T11:{minute:02d}:20.484Z","expires_at":"2027-01-01T00:00:00Z",'
    '"used_at":"2026-0{month}-{day:02d}T12:{minute:02d}:20.484Z","refunded_at":null,"revoked_at":null,'
    '"source":"points","reward_id":594155,"purchase_type":"one_time","referred_email":null,"variant_ids":[],'
    '"formatted_store_credit_amount":null,"terms_of_service":null,"reward":{{"id":594155,"name":"$5 off",'
    '"source":"points","enabled":true,"reward_type":"fixed_amount","reward_value":5.0,"points_amount":500,'
    '"points_type":"fixed"}},"customer":{{"id":{customer},"email":"c{n}@example.com","total_spent":290.16,'
    '"orders_count":2,"points_tally":0,"credits_tally":"25.50","loyalty_status":"member"}}}}}}'
)
TEMPLATES = {"customers": _CUSTOMER, "points_events": _EVENT, "points_redemptions": _REDEMPTION}
"""The lists that have rows, with a template of a row each; every other list is empty."""
_FIRST_CUSTOMER = 7_198_630_248_648


def _ids(name: str, count: int) -> array[int]:
    """Return ascending ids. Customers' ids are skewed as in Shopify: sparse for old ones, dense for new ones."""
    if name == "customers":
        return array("q", (_FIRST_CUSTOMER + n * 33_000 - n * n // 4 for n in range(count)))
    return array("q", (4_294_500_014 + n * 7 + n % 5 for n in range(count)))


def _page(template: str, ids: array[int], start: int, limit: int, since_id: int) -> bytes:
    rows = []
    for n in range(start, min(start + limit, len(ids))):
        rows.append(
            template.format(
                id=ids[n],
                n=n,
                orders=n % 9,
                points=n % 700 + 1,
                month=n * 9 // max(len(ids), 1) + 1,
                day=n % 28 + 1,
                minute=n % 60,
                customer=_FIRST_CUSTOMER + n % 50_000,
            )
        )
    more = start + limit < len(ids)
    following = str(ids[start + limit - 1]) if more else "null"
    links = f'{{"since_id":{since_id},"limit":{limit},"next_since_id":{following}}}'
    return f'{{"links":{links},"data":[{",".join(rows)}]}}'.encode()


class Store:
    """The lists, the cached pages and the statistics of requests."""

    def __init__(self, sizes: dict[str, int], rate: float, keep_pages: bool) -> None:
        self.ids = {name: _ids(name, count) for name, count in sizes.items()}
        self.rate = rate
        self.recent: deque[float] = deque()
        self.requests = 0
        self.refused = 0
        self.first_at = self.last_at = 0.0
        self.made: dict[str, bytes] | None = {} if keep_pages else None

    def answer(self, target: str) -> tuple[int, bytes]:
        """Return status and body of the answer to a request."""
        parts = urlsplit(target)
        if parts.path == "/stats":
            seconds = self.last_at - self.first_at
            figures = f'"requests":{self.requests},"refused":{self.refused},"seconds":{seconds}'
            return 200, f"{{{figures}}}".encode()
        self.requests += 1
        now = self.last_at = time.monotonic()
        self.first_at = self.first_at or now
        while self.recent and now - self.recent[0] >= 1.0:
            self.recent.popleft()
        if self.rate and len(self.recent) >= self.rate:
            self.refused += 1
            return 429, b'{"error":"Too many requests"}'
        self.recent.append(now)
        if self.made is not None and target in self.made:
            return 200, self.made[target]
        name = parts.path.removeprefix(_BASE)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        ids = self.ids.get(name, array("q"))
        limit = min(int(query.get("pagination[limit]", 25)), 250)
        since_id = int(query.get("pagination[since_id]", 0))
        body = _page(TEMPLATES.get(name, ""), ids, bisect_right(ids, since_id), limit, since_id)
        if self.made is not None:
            self.made[target] = body
        return 200, body


class _Connection(asyncio.Protocol):
    def __init__(self, store: Store, latency: float) -> None:
        self.store, self.latency = store, latency
        self.buffer = b""
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            status, body = self.store.answer(head.split(b" ", 2)[1].decode())
            reason = b"200 OK" if status == 200 else b"429 Too Many Requests\r\nRetry-After: 1"
            answer = (
                b"HTTP/1.1 "
                + reason
                + b"\r\nContent-Type: application/json\r\nDate: "
                + _DATE
                + b"\r\nContent-Length: "
                + str(len(body)).encode()
                + b"\r\n\r\n"
                + body
            )
            assert self.transport
            write: Callable[[bytes], None] = self.transport.write
            asyncio.get_running_loop().call_later(self.latency, write, answer)


async def _serve(store: Store, latency: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(store, latency), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}{_BASE.rstrip('/')}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Print the address and serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in TEMPLATES:
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument(
        "--keep-pages",
        action="store_true",
        help="cache pages, so that later requests for them are answered at once",
    )
    options = parser.parse_args()
    sizes = {name: getattr(options, name) for name in TEMPLATES}
    asyncio.run(_serve(Store(sizes, options.rate, options.keep_pages), options.latency_ms / 1000))


if __name__ == "__main__":
    main()
