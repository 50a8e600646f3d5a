"""Sensors that look at one shop after the other, with a cursor for each shop inside the cursor of the sensor."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg

from assets.shops import names_of_several, some_of
from pipelines.errors import RivoError
from pipelines.settings import Settings

TICK_SECONDS = 20
"""After this time no other shop is looked at; the next tick continues with it. Dagster ends a tick after 60 seconds,
and a request may be retried for 20."""

Evaluate = Callable[[Settings, str | None, str | None], dg.SensorResult | dg.SkipReason]
"""Looks at one shop, given its settings, its cursor, and its partition, which is None with one shop."""
Belongs = Callable[[Settings, str], bool]
"""Returns whether a cursor without the name of a shop is that of a shop."""


@dataclass
class Cursors:
    """The cursor of a sensor, by shop."""

    by_shop: dict[str, str] = field(default_factory=dict)
    looked_at: dict[str, str] = field(default_factory=dict)
    """When a shop was last looked at, if the sensor ticks more often than the shop needs."""
    following: str | None = None
    """The shop that the next tick begins with, if a tick had no time for all."""
    of_one: str | None = None
    """The cursor from the time when RIVO_SHOPS was not set."""

    @classmethod
    def read(cls, text: str | None) -> Cursors:
        """Return the cursors in a cursor of Dagster."""
        found = json.loads(text) if text else {}
        if not isinstance(found, dict) or "shops" not in found:
            return cls(of_one=text)
        return cls(found["shops"], found.get("looked_at", {}), found.get("next"), found.get("of_one"))

    def written(self) -> str:
        """Return the cursor of Dagster."""
        others = {"looked_at": self.looked_at, "next": self.following, "of_one": self.of_one}
        return json.dumps({"shops": self.by_shop, **{name: value for name, value in others.items() if value}})

    def of(self, settings: Settings, belongs: Belongs) -> str | None:
        """Return the cursor of a shop: the one with its name, else one that belongs to it."""
        if settings.shop in self.by_shop:
            return self.by_shop[settings.shop]
        candidates = [self.of_one] if self.of_one else []
        if not settings.shop:
            # After RIVO_SHOPS was removed.
            candidates += self.by_shop.values()
        return next((cursor for cursor in candidates if belongs(settings, cursor)), None)


def evaluate_shops(
    context: dg.SensorEvaluationContext,
    evaluate: Evaluate,
    *,
    belongs: Belongs = lambda _settings, _cursor: False,
    seconds_between: Callable[[Settings], int] = lambda _settings: 0,
) -> dg.SensorResult | dg.SkipReason:
    """Look at the shop, or at each of several; a shop that fails keeps its cursor and does not stop the others.

    Args:
        context: the tick.
        evaluate: looks at one shop.
        belongs: tells whether a cursor from the time before RIVO_SHOPS was set, or after, is that of a shop.
        seconds_between: how long not to look at a shop again, if the sensor ticks more often.

    Raises:
        RivoError: the shop failed, or each of several.
    """
    settings = Settings.load()
    cursors = Cursors.read(context.cursor)
    names = names_of_several(settings)
    if not names:
        one = settings.of_shop("")
        is_plain = cursors.of_one is not None or not cursors.by_shop
        return evaluate(one, cursors.of_one if is_plain else cursors.of(one, belongs), None)
    return _Round(context, settings, cursors, evaluate, belongs, seconds_between).result(names)


@dataclass
class _Round:
    """One tick of a sensor that looks at several shops."""

    context: dg.SensorEvaluationContext
    settings: Settings
    cursors: Cursors
    evaluate: Evaluate
    belongs: Belongs
    seconds_between: Callable[[Settings], int]
    found: list[dg.SensorResult] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """The shops with nothing to report, by the reason."""
    failed: dict[str, str] = field(default_factory=dict)
    """The sentence about each shop that failed."""

    def result(self, names: Sequence[str]) -> dg.SensorResult:
        started = time.monotonic()
        first = names.index(self.cursors.following) if self.cursors.following in names else 0
        self.cursors.following = None
        for name in (*names[first:], *names[:first]):
            if time.monotonic() - started > TICK_SECONDS:
                self.cursors.following = name
                break
            self._look_at(name)
        if len(self.failed) == len(names):
            raise RivoError(" ".join(f"{name}: {sentence}" for name, sentence in self.failed.items()))
        return self._together(names)

    def _look_at(self, name: str) -> None:
        own = self.settings.of_shop(name)
        between = self.seconds_between(own)
        last = self.cursors.looked_at.get(name)
        now = datetime.now(UTC)
        if between and last and 0 <= (now - datetime.fromisoformat(last)).total_seconds() < between:
            return
        try:
            result = self.evaluate(own, self.cursors.of(own, self.belongs), name)
        except RivoError as error:
            self.failed[name] = str(error)
            self.context.log.error(f"{name}: {error}")
            return
        if between:
            self.cursors.looked_at[name] = now.isoformat()
        if isinstance(result, dg.SkipReason):
            self.skipped[result.skip_message or ""].append(name)
            return
        if result.cursor is not None:
            self.cursors.by_shop[name] = result.cursor
        if result.skip_reason:
            self.skipped[result.skip_reason.skip_message or ""].append(name)
        else:
            self.found.append(result)

    def _together(self, names: Sequence[str]) -> dg.SensorResult:
        cursors = self.cursors
        # Those of shops that RIVO_SHOPS no longer names are dropped, and one without a name when all have their own.
        cursors.by_shop = {name: cursors.by_shop[name] for name in names if name in cursors.by_shop}
        cursors.looked_at = {name: cursors.looked_at[name] for name in names if name in cursors.looked_at}
        if len(cursors.by_shop) == len(names):
            cursors.of_one = None
        events = [event for result in self.found for event in result.asset_events]
        requests = [request for result in self.found for request in result.run_requests or ()]
        reason = None if events or requests else self._reason()
        return dg.SensorResult(requests, skip_reason=reason, cursor=cursors.written(), asset_events=events)

    def _reason(self) -> str:
        sentences = [f"{name}: {sentence}" for name, sentence in self.failed.items()]
        sentences += [f"{some_of(names)}: {reason}" for reason, names in self.skipped.items()]
        return " ".join(sentences) or "No shop is due."
