"""Settings come from the environment, are checked, and refuse what is dangerous in production."""

import pytest

from app.errors import SettingsError
from app.settings import load_settings, redacted, unknown_settings
from tests.production import PRODUCTION


def test_the_defaults_suit_development() -> None:
    """An empty environment is a valid one."""
    settings = load_settings({"PATH": "/bin"})
    assert (settings.env, settings.http_port, settings.retention_days, settings.data_dir) == (
        "development",
        8005,
        90,
        ".mastery",
    )


def test_text_becomes_the_setting_s_type() -> None:
    """Numbers are numbers."""
    settings = load_settings({"MASTERY_HTTP_PORT": "9000", "MASTERY_CHUNK_WAIT_SECONDS": "0.2"})
    assert (settings.http_port, settings.chunk_wait_seconds) == (9000, 0.2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MASTERY_HTTP_PORT", "eighty"),
        ("MASTERY_HTTP_PORT", "65536"),
        ("MASTERY_RETENTION_DAYS", "0"),
        ("MASTERY_ENV", "prod"),
        ("MASTERY_CHUNK_WAIT_SECONDS", "nan"),
        ("MASTERY_KEY_PREFIX", "{a}"),
        ("MASTERY_JWT_SECRET", ""),
        ("MASTERY_REDIS_URL", "localhost"),
        ("MASTERY_REDIS_URL", "redis://localhost:port/0"),
        ("MASTERY_BROKER_URL", "amqp://localhost"),
        ("MASTERY_JWT_JWKS_URL", "ftp://id.example/keys"),
        ("MASTERY_JWT_JWKS_URL", "https://"),
        ("MASTERY_JWT_ALGORITHMS", "HS256, none"),
        ("MASTERY_JWT_ALGORITHMS", "RS256"),
        ("MASTERY_JWT_ALGORITHMS", ","),
        ("MASTERY_TOKEN_TTL_SECONDS", "2592001"),
        ("MASTERY_CORS_ORIGINS", "school.example"),
        ("MASTERY_CORS_ORIGINS", "https://school.example/"),
        ("MASTERY_RATELIMIT_MASTERY", "fifty/minute"),
        ("MASTERY_RATELIMIT_MASTERY", "50/minute, parent=5/minute"),
        ("MASTERY_RATELIMIT_ENABLED", "maybe"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    """The message names the variable."""
    with pytest.raises(SettingsError, match=name):
        load_settings({name: value})


def test_production_takes_real_values() -> None:
    """A complete production environment is accepted."""
    assert load_settings(PRODUCTION).env == "production"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MASTERY_JWT_SECRET", None),
        ("MASTERY_JWT_SECRET", "short"),
        ("MASTERY_FLOWER_PASSWORD", None),
        ("MASTERY_REDIS_URL", None),
        ("MASTERY_KAFKA_BOOTSTRAP", None),
    ],
)
def test_production_refuses_what_development_has(name: str, value: str | None) -> None:
    """No default secret, no short one, nothing embedded."""
    environ = {**PRODUCTION, name: value}
    with pytest.raises(SettingsError, match=name):
        load_settings({key: given for key, given in environ.items() if given is not None})


def test_secrets_are_redacted() -> None:
    """Neither secrets nor passwords in URLs are shown."""
    shown = redacted(load_settings(PRODUCTION | {"MASTERY_REDIS_URL": "rediss://user:pass@redis:6379/0"}))
    assert shown["MASTERY_JWT_SECRET"] == "***"
    assert shown["MASTERY_FLOWER_PASSWORD"] == "***"
    assert shown["MASTERY_REDIS_URL"] == "rediss://***@redis:6379/0"
    assert shown["MASTERY_KAFKA_BOOTSTRAP"] == "127.0.0.1:2"
    shown = redacted(load_settings({"MASTERY_REDIS_URL": "redis://redis:6379/0?password=hunter2"}))
    assert shown["MASTERY_REDIS_URL"] == "redis://redis:6379/0?***"


def test_a_misspelt_setting_is_found() -> None:
    """What begins like a setting and is none."""
    assert unknown_settings({"MASTERY_HTP_PORT": "1", "MASTERY_HTTP_PORT": "1", "HOME": "/"}) == ["MASTERY_HTP_PORT"]
