"""RIVO_TARGET_<NAME> and RIVO_PUBLISH: valid values, and sentences about the others that show no secret."""

from __future__ import annotations

import pytest

from pipelines.errors import SettingsError
from pipelines.settings import Settings

PG = "postgresql://rivo@db.example/loyalty"


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings.load()


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        (PG, "postgres"),
        ("postgres://db.example:5433/loyalty?sslmode=verify-full&sslkey=/etc/key.pem", "postgres"),
        (f"ducklake:{PG}?data=s3://bucket/lake", "ducklake"),
        (f"ducklake:{PG}?data=/srv/lake", "ducklake"),
        ("md:loyalty", "motherduck"),
        ("s3://bucket/prefix", "parquet"),
        ("file:///srv/loyalty", "parquet"),
        ("dlt:snowflake", "dlt"),
    ],
)
def test_url_says_the_kind(monkeypatch: pytest.MonkeyPatch, url: str, kind: str) -> None:
    settings = load(monkeypatch, RIVO_PUBLISH="x", RIVO_TARGET_X=url, RIVO_TARGET_X_PASSWORD="very-secret")
    [target] = settings.to_publish
    assert (target.name, target.kind, target.url) == ("x", kind, url)
    assert target.password
    assert target.password.get_secret_value() == "very-secret"
    assert "very-secret" not in repr(settings.targets)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"RIVO_TARGET_PG": "postgresql://u:very-secret@h/db"},
            "RIVO_TARGET_PG: the URL must not contain a pass",
        ),
        (
            {"RIVO_TARGET_PG": f"{PG}?password=very-secret"},
            "RIVO_TARGET_PG: the URL must not contain a password",
        ),
        (
            {"RIVO_TARGET_MD": "md:x?motherduck_token=very-secret"},
            "must not contain a password, token or key",
        ),
        ({"RIVO_TARGET_S3": "s3://very-secret@bucket/x"}, "must not contain a password, token or key"),
        ({"RIVO_TARGET_PG": "postgresql://user@host"}, "RIVO_TARGET_PG: the URL names no database"),
        ({"RIVO_TARGET_LAKE": f"ducklake:{PG}"}, "a lake has a Postgres catalogue and a folder for its data"),
        ({"RIVO_TARGET_LAKE": "ducklake:sqlite:x.db?data=/x"}, "a lake has a Postgres catalogue"),
        ({"RIVO_TARGET_S3": "s3:///prefix"}, "the URL names no bucket"),
        ({"RIVO_TARGET_S3": "s3://a/prefix"}, "the URL names no bucket that S3 can have"),
        ({"RIVO_TARGET_F": "file://srv/loyalty"}, "the folder must be an absolute path, after three slashes"),
        ({"RIVO_PUBLISH_SCHEMAS": ","}, "names no schema. The schemas are rivo_raw"),
        (
            {"RIVO_TARGET_X": "mysql://host/very-secret"},
            "RIVO_TARGET_X: the value is none of the supported kinds",
        ),
        (
            {"RIVO_TARGET_PG_PASSWORD": "very-secret"},
            "RIVO_TARGET_PG_PASSWORD is set, but RIVO_TARGET_PG is not",
        ),
        ({"RIVO_TARGET_LAKE": f"ducklake:{PG}?DATA=/x"}, "a lake has a Postgres catalogue and a folder"),
        ({"RIVO_TARGET_LAKE": f"ducklake:{PG}?data="}, "the lake's data must be s3://bucket/path"),
        (
            {"RIVO_TARGET_LAKE": f"ducklake:{PG}?data=gs://bucket/x"},
            "the lake's data must be s3://bucket/path",
        ),
        ({"RIVO_TARGET_LAKE": f"ducklake:{PG}?data=lake"}, "the lake's data must be s3://bucket/path"),
        (
            {"RIVO_TARGET_LAKE": f"ducklake:{PG}?data=/x&sslmode=require"},
            "a lake's URL has no option sslmode",
        ),
        ({"RIVO_TARGET_MD": "md:"}, "write md: and the name of a database"),
        ({"RIVO_TARGET_MD": "md:memory"}, "write md: and the name of a database"),
        ({"RIVO_TARGET_X": "dlt:snow flake"}, "write dlt: and the name of a destination"),
        ({"RIVO_TARGET_PASSWORD": "very-secret"}, "RIVO_TARGET_PASSWORD names no target"),
        ({"RIVO_PUBLISH": " , "}, "RIVO_PUBLISH: names no target"),
        ({"RIVO_PUBLISH": "pg"}, "RIVO_PUBLISH: there is no target pg. Set RIVO_TARGET_PG to its URL"),
        ({"RIVO_PUBLISH": "a,a", "RIVO_TARGET_A": PG}, "RIVO_PUBLISH: 'a' is there twice"),
        ({"RIVO_PUBLISH": "a b"}, "RIVO_PUBLISH: 'a b' cannot be the name of a target"),
        ({"RIVO_PUBLISH_SCHEMAS": "marts,meta"}, "RIVO_PUBLISH_SCHEMAS: 'meta' cannot be published"),
        ({"RIVO_TARGET_PG": "postgresql://host:port/db"}, "RIVO_TARGET_PG: the value is not a valid URL"),
    ],
)
def test_invalid_target_is_a_sentence_without_secrets(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], sentence: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(monkeypatch, **variables)
    assert sentence in str(refused.value)
    assert "very-secret" not in str(refused.value)


def test_shop_can_publish_to_targets_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        RIVO_SHOPS="de,fr",
        RIVO_PUBLISH="pg",
        RIVO_SHOP_FR_PUBLISH="lake,pg",
        RIVO_TARGET_PG=PG,
        RIVO_TARGET_LAKE=f"ducklake:{PG}?data=/srv/lake",
    )
    assert [target.name for target in settings.of_shop("de").to_publish] == ["pg"]
    assert [target.name for target in settings.of_shop("fr").to_publish] == ["lake", "pg"]
    assert settings.of_shop("de").publish_schemas == "marts,reports"


def test_missing_target_of_a_shop_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="RIVO_SHOP_FR_PUBLISH: there is no target lake"):
        load(monkeypatch, RIVO_SHOPS="de,fr", RIVO_SHOP_FR_PUBLISH="lake")


def test_variables_of_kubernetes_are_no_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        RIVO_TARGET_PG=PG,
        RIVO_TARGET_PG_PORT="tcp://10.0.0.1:5432",
        RIVO_TARGET_PG_PORT_5432_TCP_ADDR="10.0.0.1",
        RIVO_TARGET_PG_SERVICE_HOST="10.0.0.1",
        RIVO_TARGET_AIR_PORT=PG,
    )
    assert sorted(settings.targets) == ["air_port", "pg"]
