"""RIVO_SHOPS and RIVO_SHOP_<NAME>_..., from the environment and from `.env`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.errors import SettingsError
from pipelines.settings import Settings
from runs.demo import calls_of, demo_store
from runs.shop import shop_to_read, shop_to_sync


def given(patch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        patch.setenv(name, value)
    return Settings.load()


def test_shop_has_its_own_settings_and_else_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(
        monkeypatch,
        RIVO_SHOPS=" de, FR,us_west ",
        RIVO_API_KEY="of-all",
        RIVO_TIMEZONE="Europe/Berlin",
        RIVO_SHOP_FR_API_KEY="of-fr",
        RIVO_SHOP_FR_TIMEZONE="Europe/Paris",
        RIVO_SHOP_US_WEST_API_KEY="of-us",
        RIVO_SHOP_US_WEST_TIMEZONE="",
        RIVO_SHOP_US_WEST_RATE_LIMIT="3",
        RIVO_OWNERS="team:loyalty",
    )
    assert settings.shop_names == ("de", "fr", "us_west")
    shops = {name: settings.of_shop(name) for name in settings.shop_names}
    keys = {name: each.api_key and each.api_key.get_secret_value() for name, each in shops.items()}
    assert keys == {"de": "of-all", "fr": "of-fr", "us_west": "of-us"}
    assert [each.timezone for each in shops.values()] == ["Europe/Berlin", "Europe/Paris", "Europe/Berlin"]
    assert [each.rate_limit for each in shops.values()] == [15, 15, 3]
    assert [each.warehouse for each in shops.values()] == [
        f"data/shops/{name}.duckdb" for name in ("de", "fr", "us_west")
    ]
    assert {each.owners for each in shops.values()} == {"team:loyalty"}
    assert {each.shop: each.variable("pii_key") for each in shops.values()}["fr"] == "RIVO_SHOP_FR_PII_KEY"
    assert (settings.shop, settings.variable("pii_key")) == ("", "RIVO_PII_KEY")


def test_settings_of_shops_are_read_from_the_file_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "RIVO_SHOPS=de,fr\nRIVO_SHOP_DE_API_KEY=one\nRIVO_SHOP_FR_API_KEY='two'\nRIVO_TIMEZONE=Asia/Tokyo\n"
    )
    monkeypatch.setitem(Settings.model_config, "env_file", str(file))
    settings = given(monkeypatch, RIVO_SHOP_FR_API_KEY="three")
    keys = [settings.of_shop(name).api_key for name in ("de", "fr")]
    assert [key and key.get_secret_value() for key in keys] == ["one", "three"]
    assert settings.of_shop("fr").timezone == "Asia/Tokyo"


def test_warehouse_called_like_the_file_of_all_shops_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, RIVO_WAREHOUSE="data/all_shops.duckdb")
    with pytest.raises(SettingsError, match=r"RIVO_WAREHOUSE: all_shops\.duckdb is the file that unites"):
        given(monkeypatch, RIVO_SHOPS="de,fr")


@pytest.mark.parametrize(
    ("warehouse", "file", "united"),
    [
        ("rivo.duckdb", "shops/de.duckdb", "all_shops.duckdb"),
        ("/srv/loyalty/rivo.duckdb", "/srv/loyalty/shops/de.duckdb", "/srv/loyalty/all_shops.duckdb"),
        ("duckdb:////srv/x.duckdb", "duckdb:////srv/shops/de.duckdb", "duckdb:////srv/all_shops.duckdb"),
    ],
)
def test_files_of_shops_are_in_the_folder_of_rivo_warehouse(
    warehouse: str, file: str, united: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = given(monkeypatch, RIVO_SHOPS="de", RIVO_WAREHOUSE=warehouse, RIVO_API_KEY="k")
    assert settings.of_shop("de").warehouse == settings.of_shop("").warehouse == file
    assert settings.united == united


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RIVO_SHOPS": "de-at"}, "RIVO_SHOPS: 'de-at' cannot be the name of a shop"),
        ({"RIVO_SHOPS": "1st"}, "RIVO_SHOPS: '1st' cannot be"),
        ({"RIVO_SHOPS": "marts"}, "RIVO_SHOPS: 'marts' has another meaning"),
        ({"RIVO_SHOPS": "all_shops"}, "RIVO_SHOPS: 'all_shops' has another meaning"),
        ({"RIVO_SHOPS": "de,DE"}, "RIVO_SHOPS: 'de' is there twice"),
        (
            {"RIVO_SHOP_DE_TIMEZON": "UTC"},
            "no setting RIVO_SHOP_DE_TIMEZON; the nearest is RIVO_SHOP_DE_TIMEZONE",
        ),
        ({"RIVO_SHOP_PII": "hash"}, "RIVO_SHOP_PII names no shop. Write RIVO_PII for all shops, or"),
        ({"RIVO_SHOPS": "", "RIVO_SHOP_PII": "hash"}, "RIVO_SHOP_PII names no shop. Write RIVO_PII for"),
        ({"RIVO_SHOP_DE_TIMEZONE": "Berlin"}, "RIVO_SHOP_DE_TIMEZONE: 'Berlin' is not an IANA time zone"),
        ({"RIVO_SHOP_IT_TIMEZONE": "UTC"}, "RIVO_SHOP_IT_TIMEZONE: RIVO_SHOPS has no shop it. It has de, fr"),
        ({"RIVO_SHOP_DE_WAREHOUSE": "x.duckdb"}, "there is no setting RIVO_SHOP_DE_WAREHOUSE"),
        ({"RIVO_SHOP_DE_API_KEY": "of-fr"}, "RIVO_SHOP_FR_API_KEY: de and fr have the same key"),
        (
            {"RIVO_SHOP_FR_API_KEY": "", "RIVO_API_KEY": "of-de"},
            "RIVO_SHOP_FR_API_KEY: de and fr have the same key",
        ),
        ({"RIVO_SHOP_FR_PII": "hash"}, "RIVO_SHOP_FR_PII_KEY: is required for RIVO_PII=hash"),
        ({"RIVO_SHOP_FR_API_KEY": "Bearer of-fr"}, "RIVO_SHOP_FR_API_KEY: must be the raw key"),
        ({"RIVO_SHOPS": ""}, "RIVO_SHOP_DE_API_KEY is set, but RIVO_SHOPS is not. Set RIVO_SHOPS=de"),
    ],
)
def test_invalid_setting_of_a_shop_is_named_without_secrets(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = {"RIVO_SHOPS": "de,fr", "RIVO_SHOP_DE_API_KEY": "of-de", "RIVO_SHOP_FR_API_KEY": "of-fr"}
    with pytest.raises(SettingsError, match=re.escape(said)) as caught:
        given(monkeypatch, **{**usual, **variables})
    assert "of-de" not in str(caught.value)
    assert "of-fr" not in str(caught.value)


def test_pii_key_may_be_of_each_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {f"RIVO_SHOP_{name}_PII_KEY": f"{name}-0123456789abcdef" for name in ("DE", "FR")}
    settings = given(
        monkeypatch,
        RIVO_SHOPS="de,fr",
        RIVO_PII="hash",
        RIVO_SHOP_DE_API_KEY="1",
        RIVO_SHOP_FR_API_KEY="2",
        **keys,
    )
    assert [settings.of_shop(name).pii for name in ("de", "fr")] == ["hash", "hash"]


def test_variables_of_other_programs_are_ignored_without_rivo_shops(monkeypatch: pytest.MonkeyPatch) -> None:
    # Kubernetes sets these for a service called rivo-shop.
    settings = given(monkeypatch, RIVO_SHOP_SERVICE_HOST="10.0.0.1", RIVO_SHOP_PORT="tcp://10.0.0.1:80")
    assert settings.shop_names == ()
    assert settings.of_shop("") is settings
    with pytest.raises(SettingsError, match=r"RIVO_SHOPS has no shop de\. It is not set"):
        settings.of_shop("de")


def test_demo_shops_use_no_key_of_all_and_have_zones_and_currencies_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = given(monkeypatch, RIVO_SHOPS="demo_eu,demo_us", RIVO_API_KEY="of-a-real-shop")
    shops = {name: shop_to_sync(settings.of_shop(name)) for name in settings.shop_names}
    assert [shop.is_demo for shop in shops.values()] == [True, True]
    assert [shop.currency for shop in shops.values()] == ["EUR", "USD"]
    assert [shop.settings.timezone for shop in shops.values()] == ["Europe/Berlin", "America/New_York"]
    assert str(shops["demo_eu"].warehouse).endswith("data/shops/demo_eu.duckdb")

    rome = given(monkeypatch, RIVO_SHOP_DEMO_EU_TIMEZONE="Europe/Rome")
    assert shop_to_sync(rome.of_shop("demo_eu")).settings.timezone == "Europe/Rome"
    with pytest.raises(SettingsError, match="demo_us without a key would be simulated"):
        given(monkeypatch, RIVO_SHOP_DEMO_EU_API_KEY="of-a-test-shop")


def test_single_demo_has_its_own_currency_whatever_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop_to_sync(given(monkeypatch, RIVO_CURRENCY="EUR")).currency == "USD"


def test_shop_without_a_key_can_be_read_but_not_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = given(monkeypatch, RIVO_SHOPS="de,fr").of_shop("fr")
    assert not shop_to_read(shop).is_demo
    with pytest.raises(SettingsError, match="RIVO_SHOP_FR_API_KEY is not set"):
        shop_to_sync(shop)
    with pytest.raises(SettingsError, match="RIVO_SHOPS names de, fr"):
        shop_to_read(Settings.load())


def test_demo_stores_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({calls_of(name) for name in ("", "demo", "demo_us")}) == 3
    with demo_store("demo_us") as us, demo_store("demo_other") as other:
        assert us.url != other.url
        assert us.now == other.now


def test_variables_of_kubernetes_are_no_settings_of_shops(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(
        monkeypatch,
        RIVO_SHOPS="de",
        RIVO_SHOP_DE_API_KEY="1",
        RIVO_SHOP_SERVICE_HOST="10.0.0.1",
        RIVO_SHOP_SERVICE_PORT_HTTP="80",
        RIVO_SHOP_PORT="tcp://10.0.0.1:80",
        RIVO_SHOP_PORT_80_TCP_PROTO="tcp",
    )
    assert settings.shop_names == ("de",)
