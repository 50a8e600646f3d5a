"""Every setting, typed, read from the environment (or `.env`) here and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines.errors import SettingsError

PROJECT = Path(__file__).resolve().parent.parent
RIVO_API_URL = "https://developer-api.rivo.io/merchant_api/v1"


class Settings(BaseSettings):
    """The settings of design contract; the environment wins over `.env`, empty values count as absent."""

    model_config = SettingsConfigDict(
        env_prefix="RIVO_",
        env_file=PROJECT / ".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    api_key: SecretStr | None = None
    api_url: str = RIVO_API_URL
    warehouse: str = "data/rivo.duckdb"
    timezone: str = "UTC"
    sync_cron: str = "0 3 * * *"
    rate_limit: float = Field(15, gt=0, allow_inf_nan=False)
    """Requests per second, over all lists together."""
    lookback_days: int = Field(30, ge=0, le=36_500)
    full_sweep_days: int = Field(7, ge=0, le=36_500)
    patience_seconds: float = Field(300, gt=0, allow_inf_nan=False)
    """How long one request is retried before its list is given up."""

    @field_validator("api_key")
    @classmethod
    def _strip_key(cls, key: SecretStr | None) -> SecretStr | None:
        text = key.get_secret_value().strip() if key else ""
        # Anything else cannot stand in a header, and the error of the HTTP library would show it.
        if not all("!" <= character <= "~" for character in text):
            raise ValueError("must be the raw key: printable ASCII, no spaces, without 'Bearer' before it")
        return SecretStr(text) if text else None

    @field_validator("api_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must start with https:// (or http:// for a store on this machine)")
        return url.rstrip("/")

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, name: str) -> str:
        if name not in available_timezones() - {"localtime"}:
            raise ValueError(f"'{name}' is not an IANA time zone such as Europe/Berlin or America/New_York")
        return name

    @field_validator("sync_cron")
    @classmethod
    def _check_cron(cls, cron: str) -> str:
        if len(cron.split()) != 5:
            raise ValueError(f"'{cron}' is not a cron line of five fields such as 0 3 * * *")
        return cron

    @property
    def zone(self) -> ZoneInfo:
        """The shop's time zone, in which local days are reported."""
        return ZoneInfo(self.timezone)

    @classmethod
    def load(cls) -> Self:
        """Read the settings now.

        Raises:
            SettingsError: with one line a setting that cannot be understood; values are shown only for
                settings that are not secret.
        """
        try:
            return cls()
        except ValidationError as error:
            problems = [
                f"RIVO_{'_'.join(str(part) for part in problem['loc']).upper()}: "
                + problem["msg"].removeprefix("Value error, ")
                for problem in error.errors(include_input=False, include_url=False)
            ]
            raise SettingsError(
                "Some settings cannot be used (environment or .env): " + "; ".join(problems) + "."
            ) from None


def dagster_home() -> Path:
    """The folder of Dagster's own storage: DAGSTER_HOME, by default `.dagster` in the project."""
    return Path(os.environ.get("DAGSTER_HOME") or PROJECT / ".dagster").absolute()
