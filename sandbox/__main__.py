"""Command line of the sandbox: `python -m sandbox`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from sandbox.clock import parse
from sandbox.faults import KINDS, Fault
from sandbox.options import DEFAULT_END, TALLY_RULES, ProgramOptions
from sandbox.orders import write_orders
from sandbox.program import Program
from sandbox.server import serve
from sandbox.webhooks import Sender

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def _moment(text: str) -> datetime:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not an ISO 8601 date and time: {text}") from error


def _fault(text: str) -> Fault:
    try:
        return Fault.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parser(called: str) -> argparse.ArgumentParser:
    known = "\n".join(f"  {name:<18}{kind.about}" for name, kind in KINDS.items())
    parser = argparse.ArgumentParser(
        prog=called,
        description="Run a Rivo-compatible store on localhost with a simulated loyalty programme.\n"
        "Prints RIVO_API_KEY=... and RIVO_API_URL=... when it is ready, and runs until it is stopped.",
        epilog=f"faults:\n{known}\n\nexamples:\n"
        f"  {called} --customers 200 --latency-ms 300\n"
        f"  {called} --fault http_500:customers=0.2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add: Any = parser.add_argument
    add("--host", default="127.0.0.1", help="loopback address to listen on (default: 127.0.0.1)")
    add("--port", type=int, default=8765, help="port to listen on; 0 chooses a free one (default: 8765)")
    add("--key", default="sandbox-key", help="API key to accept (default: sandbox-key)")
    add("--rate-limit", type=float, default=15, help="requests per second; 0 for no limit (default: 15)")
    add("--latency-ms", type=float, default=0, help="minimum time of each answer (default: 0)")
    add("--fault", type=_fault, action="append", default=[], metavar="NAME[:list][=rate][@value]")
    add("--now", type=_moment, help="virtual time (default: the end of the history)")
    _add_shop_options(add)
    add(
        "--webhooks",
        metavar="URL",
        help="send webhooks there, for calls that change the shop and clock moves",
    )
    add(
        "--webhook-secret",
        default="sandbox-secret",
        help="secret of their signatures (default: sandbox-secret)",
    )
    add(
        "--webhook-form",
        choices=("newer", "older"),
        default="newer",
        help="signature of id, time and body, or of the body alone (default: newer)",
    )
    add(
        "--journal",
        type=Path,
        metavar="FILE",
        help="keep calls that change the shop in this file, and repeat those in it at the start",
    )
    add(
        "--orders", type=Path, metavar="FILE", help="write the shop's orders as Shopify exports them, and end"
    )
    add("--exit-with-parent", action="store_true", help="stop when the parent process ends")
    return parser


def _add_shop_options(add: Any) -> None:
    """Add the options of the simulated shop."""
    add(
        "--seed", type=int, default=7, help="random seed; the same seed gives the same programme (default: 7)"
    )
    add(
        "--customers",
        type=int,
        default=2_000,
        help="customers at the end of the history; 0 for an empty shop (default: 2000)",
    )
    add("--months", type=int, default=18, help="length of the history (default: 18)")
    add(
        "--end",
        type=_moment,
        default=DEFAULT_END,
        help=f"end of the history (default: {DEFAULT_END.isoformat()})",
    )
    add(
        "--tally-rule",
        choices=TALLY_RULES,
        default="b",
        help="which ledger entries count towards a balance (default: b, all that are not revoked)",
    )
    add("--no-tiers", action="store_true", help="simulate a shop without VIP tiers")
    add("--credits-only", action="store_true", help="simulate a shop with store credits and no points")
    add("--unknown-source", action="store_true", help="give some ledger entries an undocumented source")
    add("--legacy-keys", action="store_true", help="use the attribute names of an older API version")


def _watch_parent() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


_stopping = threading.Event()


def _interrupt(*_: object) -> NoReturn:
    """Stop at the first signal, also in the middle of a long simulation."""
    for known in _SIGNALS:
        signal.signal(known, signal.SIG_IGN)
    # Python swallows an exception raised inside a destructor; the event ends the wait in that case.
    _stopping.set()
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None, called: str = "python -m sandbox") -> int:
    """Serve until SIGTERM, Ctrl-C or the end of the parent process. `called` is the command's name in its help."""
    parser = _parser(called)
    args = parser.parse_args(argv)
    before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    if args.exit_with_parent:
        threading.Thread(target=_watch_parent, daemon=True).start()
    try:
        options = ProgramOptions(
            seed=args.seed,
            customers=args.customers,
            months=args.months,
            end=args.end,
            tally_rule=args.tally_rule,
            tiers=not args.no_tiers,
            credits_only=args.credits_only,
            unknown_source=args.unknown_source,
            legacy_keys=args.legacy_keys,
        )
        program = Program(options)
        now = args.now or options.end
        if args.orders:
            print(f"{write_orders(program, now, args.orders)} orders in {args.orders}")
            return 0
        sender = Sender(args.webhooks, args.webhook_secret, args.webhook_form) if args.webhooks else None
        running = serve(
            program,
            now,
            args.port,
            args.key,
            args.fault,
            args.rate_limit,
            args.latency_ms,
            args.host,
            args.journal,
            sender,
        )
        with running as server:
            print(f"simulating {args.customers} customers up to {now.isoformat()} ...", file=sys.stderr)
            program.view(now)
            print(f"RIVO_API_KEY={server.key}", flush=True)
            print(f"RIVO_API_URL={server.url}", flush=True)
            _stopping.wait()
    except KeyboardInterrupt:
        return 0
    except (ValueError, OSError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


if __name__ == "__main__":
    sys.exit(main())
