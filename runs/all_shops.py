"""All shops of an install at once: their warehouses as one, and the file that unites them."""

from __future__ import annotations

from pipelines.errors import SettingsError
from pipelines.settings import Settings
from pipelines.warehouse import AllShops, Warehouse
from pipelines.warehouse.all_shops import ShopState
from runs.shop import Shop, shop_to_read


def shops_to_read(settings: Settings) -> list[Shop]:
    """Return all shops, in the order of RIVO_SHOPS.

    Raises:
        SettingsError: RIVO_SHOPS is not set.
    """
    if not settings.shop_names:
        raise SettingsError(
            "RIVO_SHOPS is not set: there is only one shop. Run the command without --all-shops, or name the shops in "
            "RIVO_SHOPS, such as RIVO_SHOPS=de,fr."
        )
    return [shop_to_read(settings.of_shop(name)) for name in settings.shop_names]


def united(shops: list[Shop]) -> AllShops:
    """Return the warehouses of shops as one."""
    return AllShops({shop.name: shop.warehouse for shop in shops})


def write_united(settings: Settings, shops: list[Shop]) -> tuple[Warehouse, list[ShopState]]:
    """Write the warehouse that unites all shops, and return it with the shops in it.

    Raises:
        NoWarehouse: no shop has been published.
        WarehouseError: a shop's file cannot be read, or the new one cannot be written.
    """
    target = Warehouse.of_setting(settings.united)
    return target, united(shops).write(target, {shop.name: shop.currency for shop in shops})


def refresh_united(settings: Settings) -> Warehouse | None:
    """Write the warehouse that unites all shops again, if there is one; return it, or None if there is none.

    Raises:
        WarehouseError: as for `write_united`. The file is as it was.
    """
    if not settings.shop_names or not Warehouse.of_setting(settings.united).exists:
        return None
    return write_united(settings, shops_to_read(settings))[0]
