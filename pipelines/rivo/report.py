"""A report on an account for `rivo doctor --report`: what helps to find a fault, without data, key and passwords."""

from __future__ import annotations

import platform
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from pipelines.network import Route
from pipelines.rivo.columns import ADDRESS
from pipelines.rivo.doctor import Finding
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.exchange import Exchange
from pipelines.rivo.repair import REPAIRS, pruned
from pipelines.rivo.shapes import Shape

if TYPE_CHECKING:
    from pipelines.settings import Settings

FIRST_LINE = "Report of rivo doctor"
_PACKAGES = ("rivo-warehouse", "dlt", "dagster", "duckdb", "pyarrow", "urllib3", "pydantic", "sqlglot")
_SHOWN = frozenset(
    {
        "api_url",
        "timezone",
        "sync_cron",
        "rate_limit",
        "lookback_days",
        "full_sweep_days",
        "keep_runs_days",
        "patience_seconds",
        "pii",
    }
)
"""Settings whose values are shown. Paths and owners can name people."""
_HEADERS = re.compile(
    r"date|server|content-type|content-encoding|retry-after|cf-mitigated|.*rate-?limit.*", re.IGNORECASE
)
"""Headers that are shown. Ids of requests and cookies are not among them."""
_MOST_LEVELS = 10
"""How deeply the shapes of nested values are shown."""
_MOST_VALUES = 3
"""Number of different values of a header that are shown."""


def _nested_names() -> frozenset[str]:
    """Return the names that attributes of nested objects may be shown by: those that are declared somewhere."""
    names = {"id", "name", "type", "title", "reward_type", "applies_to", "show_tos"}
    for endpoint in ENDPOINTS.values():
        for column in endpoint.columns:
            names |= {column.name, *column.aliases, *filter(None, (column.attribute, column.fallback))}
    return frozenset(names)


class _ListReport:
    """How the API answered the requests for one list."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []
        self.sizes: list[int] = []
        self.headers: dict[str, list[str]] = {}
        self.envelope = Shape()
        self.rows = Shape()
        self.kinds: set[str] = set()
        self.repaired = 0

    def add(self, exchange: Exchange, names: frozenset[str]) -> None:
        self.statuses[exchange.status] += 1
        self.seconds.append(exchange.seconds)
        self.sizes.append(exchange.size)
        for name, value in exchange.headers.items():
            values = self.headers.setdefault(name.title(), []) if _HEADERS.fullmatch(name) else []
            if value not in values:
                values.append(value)
        if exchange.payload is None:
            return
        rows = exchange.payload["data"]
        self.repaired += len(exchange.payload.get(REPAIRS, ()))
        self.envelope.add(
            {key: value for key, value in exchange.payload.items() if key not in ("data", REPAIRS)}
        )
        for row in rows:
            attributes = row.get("attributes") if isinstance(row, dict) else None
            if isinstance(row, dict) and re.fullmatch(r"[a-z_]{1,40}", str(row.get("type"))):
                self.kinds.add(row["type"])
            if not isinstance(attributes, dict):
                self.rows.add(attributes)
                continue
            self.rows.add({})
            for name, value in attributes.items():
                known = re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,59}", name)
                shape = self.rows.parts.setdefault(name if known else "(other names)", Shape())
                shape.add(pruned(value, _MOST_LEVELS), names)

    def lines(self) -> Iterator[str]:
        statuses = ", ".join(f"{status} x {n}" for status, n in sorted(self.statuses.items()))
        milliseconds = sorted(round(1000 * each) for each in self.seconds)
        yield f"  requests: {len(self.seconds)}, statuses: {statuses}"
        yield (
            f"  {milliseconds[0]:,} to {milliseconds[-1]:,} ms (median {statistics.median(milliseconds):,.0f}), "
            f"{min(self.sizes):,} to {max(self.sizes):,} bytes"
        )
        for name, values in sorted(self.headers.items()):
            more = f" and {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
            yield f"  {name}: {' | '.join(map(_clean, values[:_MOST_VALUES]))}{more}"
        for part, shape in self.envelope.parts.items():
            yield from shape.lines(part, self.envelope.count, "  ")
        if self.repaired:
            yield f"  values that were not valid JSON and were repaired: {self.repaired:,}"
        if self.rows.count:
            kinds = ", ".join(sorted(self.kinds)) or "none"
            yield f"  rows seen, some of them more than once: {self.rows.count:,}; their type: {kinds}"
            for name, shape in self.rows.parts.items():
                yield from shape.lines(name, self.rows.count, "    ")


class Report:
    """Collects what `examine` sees and finds; `text` is the report."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lists: dict[str, _ListReport] = {}
        self._findings: list[str] = []
        self._names = _nested_names()

    def listen(self, exchange: Exchange) -> None:
        """Add a request and its response."""
        self._lists.setdefault(exchange.title, _ListReport()).add(exchange, self._names)

    def add(self, finding: Finding) -> None:
        """Add a result, unless it names parts of the user's network."""
        if not finding.is_local:
            self._findings.append(f"{finding.label:<7}  {_without_quotes(finding.text)}")

    def fail(self, error: Exception) -> None:
        """Add the error that ended the checks."""
        self._findings.append(f"ended    {_without_quotes(str(error))}")

    def text(self) -> str:
        """Return the report, with the user's home folder, the key and the secret settings replaced."""
        lines = [
            FIRST_LINE,
            "",
            "It holds names of attributes, types, lengths, counts, times and headers, but no value of a row, no key",
            "and no password. Read it before you attach it to a bug report.",
            "",
            f"Made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            *_versions(),
            *self._settings_lines(),
            "",
            "Checks",
            *(f"  {each}" for each in self._findings),
        ]
        for title, found in self._lists.items():
            lines += ["", title, *found.lines()]
        return self._redact("\n".join(lines) + "\n")

    def _settings_lines(self) -> Iterator[str]:
        yield from ("", "Settings")
        for name, field in type(self._settings).model_fields.items():
            value = getattr(self._settings, name)
            if name in _SHOWN:
                shown = str(value).partition("?")[0]
            elif value == field.default or value is None:
                shown = "not set"
            else:
                shown = "set"
            yield f"  {field.validation_alias or f'RIVO_{name.upper()}'!s:<28} {shown}"
        yield f"  {'connection':<28} {_route(self._settings.api_url)}"

    def _redact(self, text: str) -> str:
        for name in type(self._settings).model_fields:
            value = getattr(self._settings, name)
            if isinstance(value, SecretStr) and value.get_secret_value():
                text = text.replace(value.get_secret_value(), f"[{name}]")
        return text.replace(str(Path.home()), "~")


def _versions() -> Iterator[str]:
    yield from ("", "Versions")
    yield f"  {'Python':<28} {platform.python_version()} ({platform.python_implementation()})"
    yield f"  {'system':<28} {platform.system()} {platform.release()} {platform.machine()}"
    for package in _PACKAGES:
        try:
            yield f"  {package:<28} {version(package)}"
        except PackageNotFoundError:
            yield f"  {package:<28} not installed"


def _route(url: str) -> str:
    """Return how the API is reached, with the names of variables in place of hosts and paths."""
    try:
        route = Route.to(url)
    except Exception as error:
        return f"not possible ({type(error).__name__})"
    login = ", with a user name" if route.proxy and route.proxy.authorization else ""
    way = f"through a proxy ({route.proxy.variable}{login})" if route.proxy else "direct"
    names = dict.fromkeys(name for name, _ in route.certificates.places)
    return f"{way}; certificates: {', '.join(names) or 'those of the machine'}"


def _without_quotes(text: str) -> str:
    """Return a message without the server's own text, which can contain data."""
    before, quoted, _ = text.partition(" The server says:")
    return f"{before} (The server's text is left out.)" if quoted else before


def _clean(value: str) -> str:
    return ADDRESS.sub("[address]", "".join(re.findall(r"[ -~]", value)))[:120]
