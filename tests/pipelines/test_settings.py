"""Settings: defaults, `.env`, messages on invalid values, and secrets that no message shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import SettingsError
from pipelines.rivo.columns import API_URL
from pipelines.settings import PROJECT, Settings

KEY = "rv-k3y-0123456789-abcdefghij"


def test_settings_have_defaults() -> None:
    settings = Settings.load()
    assert settings.api_key is None
    assert settings.api_url == API_URL == "https://developer-api.rivo.io/merchant_api/v1"
    assert settings.warehouse == "data/rivo.duckdb"
    assert settings.timezone == "UTC"
    assert settings.sync_cron == "0 3 * * *"
    assert settings.rate_limit == 15
    assert (settings.lookback_days, settings.full_sweep_days) == (30, 7)
    assert settings.patience_seconds == 300


def test_environment_overrides_env_file_and_empty_means_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = tmp_path / ".env"
    env.write_text(
        f"RIVO_API_KEY=  {KEY}\nRIVO_TIMEZONE=Europe/Berlin\nRIVO_RATE_LIMIT=\nRIVO_UNKNOWN=1\nOTHER=2\n"
    )
    monkeypatch.setitem(Settings.model_config, "env_file", env)
    monkeypatch.setenv("RIVO_TIMEZONE", "Asia/Kolkata")
    monkeypatch.setenv("RIVO_API_URL", "http://127.0.0.1:8080/merchant_api/v1/")
    settings = Settings.load()
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == KEY
    assert settings.timezone == "Asia/Kolkata", "the environment overrides the file"
    assert settings.rate_limit == 15, "empty means not set"
    assert settings.api_url == "http://127.0.0.1:8080/merchant_api/v1"


def test_alert_url_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVO_ALERT_URL", "https://hooks.example/T0/not-for-others")
    assert "not-for-others" not in repr(Settings.load())
    monkeypatch.setenv("RIVO_ALERT_URL", "ftp://hooks.example/T0/not-for-others")
    with pytest.raises(SettingsError) as raised:
        Settings.load()
    assert "not-for-others" not in str(raised.value)


def test_webhook_secrets_are_separated_by_commas_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.load().webhook_secrets == ()
    monkeypatch.setenv("RIVO_WEBHOOK_SECRET", " one-of-two, two-of-two ,")
    assert Settings.load().webhook_secrets == ("one-of-two", "two-of-two")
    assert "of-two" not in repr(Settings.load())


@pytest.mark.parametrize("key", ["", "   "])
def test_empty_api_key_means_not_set(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVO_API_KEY", key)
    assert Settings.load().api_key is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RIVO_RATE_LIMIT", "fast", "RIVO_RATE_LIMIT: Input should be a valid number"),
        ("RIVO_RATE_LIMIT", "0", "RIVO_RATE_LIMIT: Input should be greater than or equal to 0.001"),
        ("RIVO_RATE_LIMIT", "1e-300", "RIVO_RATE_LIMIT: Input should be greater than or equal to 0.001"),
        ("RIVO_RATE_LIMIT", "inf", "RIVO_RATE_LIMIT: Input should be a finite number"),
        ("RIVO_RATE_LIMIT", "nan", "RIVO_RATE_LIMIT: Input should be"),
        ("RIVO_ALERT_URL", "hooks.slack.com/x", "RIVO_ALERT_URL: must start with https://"),
        ("RIVO_OWNERS", "analyst", "RIVO_OWNERS: 'analyst' is neither an e-mail address nor team:name"),
        ("RIVO_PATIENCE_SECONDS", "inf", "RIVO_PATIENCE_SECONDS: Input should be a finite number"),
        ("RIVO_LOOKBACK_DAYS", "-1", "RIVO_LOOKBACK_DAYS: Input should be greater than or equal to 0"),
        ("RIVO_LOOKBACK_DAYS", "1.5", "RIVO_LOOKBACK_DAYS: Input should be a valid integer"),
        ("RIVO_LOOKBACK_DAYS", "99999999999", "RIVO_LOOKBACK_DAYS: Input should be less than or equal to"),
        ("RIVO_FULL_SWEEP_DAYS", "weekly", "RIVO_FULL_SWEEP_DAYS: Input should be a valid integer"),
        (
            "RIVO_FULL_SWEEP_DAYS",
            "99999999999",
            "RIVO_FULL_SWEEP_DAYS: Input should be less than or equal to",
        ),
        ("RIVO_TIMEZONE", "Berlin", "RIVO_TIMEZONE: 'Berlin' is not an IANA time zone such as"),
        ("RIVO_TIMEZONE", "localtime", "RIVO_TIMEZONE: 'localtime' is not an IANA time zone such as"),
        ("RIVO_SYNC_CRON", "daily", "RIVO_SYNC_CRON: 'daily' is not a cron expression of five fields"),
        ("RIVO_API_URL", "developer-api.rivo.io", "RIVO_API_URL: must start with https://"),
        ("RIVO_API_URL", "http://", "RIVO_API_URL: is not a valid URL"),
        ("RIVO_API_URL", "http://[::1", "RIVO_API_URL: is not a valid URL"),
        ("RIVO_API_URL", "http://host:99999/x", "RIVO_API_URL: is not a valid URL"),
        ("RIVO_API_URL", "http://host:port", "RIVO_API_URL: is not a valid URL"),
        ("RIVO_API_URL", "http://exa mple.com", "RIVO_API_URL: is not a valid URL"),
        (
            "RIVO_API_URL",
            f"https://user:{KEY}@host/",
            "RIVO_API_URL: must not contain a user name or password",
        ),
        ("RIVO_SYNC_CRON", "0 0 30 2 *", "RIVO_SYNC_CRON: '0 0 30 2 *' matches no date"),
        ("DAGSTER_HOME", "~no-such-user/x", "DAGSTER_HOME: there is no user ~no-such-user"),
        ("RIVO_API_KEY", f"{KEY}\nx", "RIVO_API_KEY: must be the raw key"),
        ("RIVO_API_KEY", f"Bearer {KEY}", "RIVO_API_KEY: must be the raw key"),
        ("RIVO_API_KEY", f"{KEY}é", "RIVO_API_KEY: must be the raw key"),
    ],
)
def test_invalid_setting_is_reported_on_one_line_without_secrets(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVO_API_KEY", KEY)
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    text = str(caught.value)
    assert text.startswith("Invalid settings (environment or .env): ")
    assert said in text
    assert text.count("RIVO_") == name.startswith("RIVO_")
    assert "\n" not in text
    assert KEY not in text
    assert caught.value.__suppress_context__


def test_invalid_settings_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVO_TIMEZONE", "Mars")
    monkeypatch.setenv("RIVO_RATE_LIMIT", "x")
    with pytest.raises(
        SettingsError, match=r"RIVO_TIMEZONE: .*; .*RIVO_RATE_LIMIT: |RATE_LIMIT.*; .*TIMEZONE"
    ):
        Settings.load()


def test_api_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVO_API_KEY", KEY)
    settings = Settings.load()
    for text in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert KEY not in text


def test_dagster_home_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert Settings.load().dagster_home == PROJECT / ".dagster"
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert Settings.load().dagster_home == tmp_path


def test_dagster_home_is_read_from_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    (tmp_path / "env").write_text(f"DAGSTER_HOME={tmp_path}/dagster\n")
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / "env")
    assert Settings.load().dagster_home == tmp_path / "dagster"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"RIVO_API_KEY: x\n", r"^Line 1 of \S+ cannot be parsed. Write NAME=value"),
        (b"# mine\nRIVO_PII='hash\n", r"^Line 2 of \S+ cannot be parsed"),
        (b"RIVO_PII\n", r"^Line 1 of \S+ cannot be parsed"),
        (b"RIVO_PI=hash\n", r"^Line 1 of \S+: there is no setting RIVO_PI. Did you mean RIVO_PII\?$"),
        (
            b"\n\nRIVO_TIMEZON=UTC\n",
            r"^Line 3 of \S+: there is no setting RIVO_TIMEZON. Did you mean RIVO_TIMEZONE\?",
        ),
        (b"RIVO_API_KEY=\xff\n", r"^\S+ cannot be read \(it is not UTF-8\)"),
    ],
)
def test_env_file_line_that_would_be_ignored_is_an_error(
    content: bytes, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "env").write_bytes(content)
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / "env")
    with pytest.raises(SettingsError, match=said):
        Settings.load()


def test_example_env_file_is_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = (PROJECT / ".env.example").read_text()
    (tmp_path / "env").write_text(text + f"export rivo_api_key = '{KEY}' # mine\r\nRIVO_ENV_FILE=x\n")
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / "env")
    found = Settings.load().api_key
    assert found
    assert found.get_secret_value() == KEY


@pytest.mark.parametrize("cron", ["0 3 * * *", "*/15 0-6,20 1,15 jan-mar mon", "5 4 * * 7"])
def test_valid_cron_expression_is_accepted(monkeypatch: pytest.MonkeyPatch, cron: str) -> None:
    monkeypatch.setenv("RIVO_SYNC_CRON", cron)
    assert Settings.load().sync_cron == cron


@pytest.mark.parametrize("cron", ["99 3 * * *", "0 25 * * *", "0 3 * *", "0 3 * * */0", "at three * * *"])
def test_invalid_cron_expression_is_an_error(monkeypatch: pytest.MonkeyPatch, cron: str) -> None:
    monkeypatch.setenv("RIVO_SYNC_CRON", cron)
    with pytest.raises(SettingsError, match="RIVO_SYNC_CRON"):
        Settings.load()
