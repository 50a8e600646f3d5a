"""The demo shops: the size, the time zone and the programme of each sandbox store."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from pipelines.settings import Settings


@dataclass(frozen=True)
class DemoShop:
    """A sandbox store and the settings of its shop."""

    options: tuple[str, ...] = ()
    """Options of `python -m sandbox`."""
    timezone: str = "UTC"
    currency: str = "USD"


_SHOPS = {
    "": DemoShop(),
    "demo_eu": DemoShop(("--seed", "11", "--customers", "1200"), "Europe/Berlin", "EUR"),
    "demo_us": DemoShop(
        ("--seed", "23", "--customers", "500", "--months", "12", "--no-tiers"), "America/New_York", "USD"
    ),
}
_SEEDS = 1_000_000


def demo_shop(name: str) -> DemoShop:
    """Return the demo shop of a name; '' is that of an install without RIVO_SHOPS."""
    seed = zlib.crc32(name.encode()) % _SEEDS
    return _SHOPS.get(name) or DemoShop(("--seed", str(seed), "--customers", "400"))


def with_demo_settings(settings: Settings) -> Settings:
    """Return a demo shop's settings with its own time zone and currency where none is set."""
    shop = demo_shop(settings.shop)
    usual = {"timezone": shop.timezone, "currency": shop.currency}
    return settings.model_copy(
        update={name: value for name, value in usual.items() if name not in settings.model_fields_set}
    )
