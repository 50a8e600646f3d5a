"""Where a run happens: whose settings, which warehouse, and whether it is the demo."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from pipelines.errors import SettingsError
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from pipelines.warehouse.backup import Backup
from runs.demo_shops import demo_shop, with_demo_settings

DEMO = "data/demo.duckdb"
"""The demo's warehouse, as RIVO_WAREHOUSE would name it."""


@dataclass(frozen=True)
class Shop:
    """A shop's settings and its warehouse; for the demo, those of the sandbox store."""

    settings: Settings
    warehouse: Warehouse
    is_demo: bool

    @property
    def name(self) -> str:
        """The shop's name in RIVO_SHOPS; empty if it is not set."""
        return self.settings.shop

    @property
    def currency(self) -> str:
        """ISO 4217 code of the shop's currency; empty if it is not set."""
        # The settings of a demo shop of several have its currency, if the user set no other.
        return demo_shop("").currency if self.is_demo and not self.name else self.settings.currency

    @property
    def source(self) -> str:
        """The API's address without user, password and query, or 'demo': what a backup notes."""
        if self.is_demo:
            return "demo"
        parts = urlsplit(self.settings.api_url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def shop_to_sync(settings: Settings) -> Shop:
    """Return what a sync reads and writes: RIVO_WAREHOUSE with a key, the demo without one.

    With RIVO_SHOPS, `settings` are those of one shop, of `Settings.of_shop`, and it is the shop's own file.

    Raises:
        SettingsError: RIVO_WAREHOUSE is not supported, or with a key is the demo's own file; or a shop has no key.
    """
    _refuse_several(settings)
    if settings.shop:
        return _one_of_several(settings, needs_key=True)
    demo = Warehouse.of_setting(DEMO)
    if settings.is_demo:
        _refuse_shared_demo(settings)
        return Shop(settings, demo, is_demo=True)
    warehouse = Warehouse.of_shop(settings)
    if warehouse == demo:
        raise SettingsError(
            f"RIVO_WAREHOUSE: {warehouse} is the demo's file, and simulated data must not mix with the shop's. "
            "Use another path such as data/rivo.duckdb."
        )
    return Shop(settings, warehouse, is_demo=False)


def shop_to_read(settings: Settings) -> Shop:
    """Return what commands work on that ask Rivo nothing: RIVO_WAREHOUSE if it exists or a key is set, else the demo.

    Raises:
        SettingsError: as for `shop_to_sync`; but a shop of several needs no key.
    """
    _refuse_several(settings)
    if settings.shop:
        return _one_of_several(settings, needs_key=False)
    real = Warehouse.of_shop(settings)
    if (real.exists or real.state) and real != Warehouse.of_setting(DEMO):
        return Shop(settings, real, is_demo=False)
    return shop_to_sync(settings)


def _refuse_several(settings: Settings) -> None:
    if settings.shop_names:
        raise SettingsError(
            f"RIVO_SHOPS names {', '.join(settings.shop_names)}: this works on one shop at a time."
        )


def _one_of_several(settings: Settings, *, needs_key: bool) -> Shop:
    if needs_key and settings.api_key is None and not settings.is_demo:
        raise SettingsError(
            f"{settings.variable('api_key')} is not set. Create a key in this shop's Rivo app: Settings > Developer "
            "Toolkit (Plus plan)."
        )
    if settings.is_demo:
        _refuse_shared_demo(settings)
        settings = with_demo_settings(settings)
    return Shop(settings, Warehouse.of_shop(settings), settings.is_demo)


def _refuse_shared_demo(settings: Settings) -> None:
    """Refuse a demo with RIVO_STATE, which a job that lost its key would otherwise sync without a word."""
    if settings.state:
        raise SettingsError(
            f"RIVO_STATE is set, but {settings.variable('api_key')} is not, and a demo has no state that machines "
            "share. Set the key, or unset RIVO_STATE for a demo."
        )


def shop_of_backup(made: Backup, settings: Settings) -> Shop:
    """Return where a backup is restored to: RIVO_WAREHOUSE, or the demo's file for a demo, with or without a key.

    Raises:
        SettingsError: RIVO_WAREHOUSE is not supported, or simulated data would mix with that of a real shop.
    """
    is_demo = made.shop == "demo"
    if settings.shop:
        shop = _one_of_several(settings, needs_key=False)
        if shop.is_demo != is_demo:
            data = "simulated data" if is_demo else "data of a real shop"
            raise SettingsError(
                f"The backup has {data}, which must not become that of {shop.name}. Choose another shop with --shop, "
                "or set RIVO_WAREHOUSE and RIVO_SHOPS for an install of its own. Nothing was changed."
            )
        return shop
    return Shop(settings, Warehouse.of_setting(DEMO) if is_demo else Warehouse.of_shop(settings), is_demo)
