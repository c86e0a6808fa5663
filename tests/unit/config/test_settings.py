"""Settings are read from the environment and validated; production rejects dangerous ones."""

import pytest

from app.config.misspelt import complaint, misspelt
from app.config.redacted import redacted
from app.config.settings import load_settings, unknown_settings
from app.config.url_settings import host_to_call, in_url
from app.errors import SettingsError
from tests.production import PRODUCTION

# Development secrets are rejected where other machines can connect.
OWN_SECRETS = {"MASTERY_JWT_SECRET": "a", "MASTERY_AUDIT_KEY": "b", "MASTERY_FLOWER_PASSWORD": "c"}


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
        *(
            (f"MASTERY_{name}_URL", url)
            for name in ("REDIS", "BROKER")
            for url in (
                "redis://[localhost/0",
                "redis://localhost:0/0",
                "redis://localhost:65536/0",
                "redis://local host/0",
                "redis://localhost/first",
                "redis://localhost/-1",
                "redis://localhost/0/1",
                "redis://localhost/0?foo=1",
                "redis://localhost/0?retry=3",
                "redis://localhost/0?socket_timeout=soon",
                "redis://localhost/0?protocol=9",
                "rediss://localhost/0?SSL_cert_reqs=none",
                "rediss://localhost/0?ssl_cert_reqs=perhaps",
                "unix://",
                "unix:///",
                "unix://run/redis.sock",
                "REDIS://localhost/0",
            )
        ),
        ("MASTERY_KAFKA_BOOTSTRAP", " "),
        ("MASTERY_KAFKA_BOOTSTRAP", "kafka-1:9092 kafka-2:9092"),
        ("MASTERY_KAFKA_BOOTSTRAP", "http://kafka/9092"),
        ("MASTERY_JWT_JWKS_URL", "ftp://id.example/keys"),
        ("MASTERY_JWT_JWKS_URL", "https://"),
        ("MASTERY_JWT_JWKS_URL", "https://[id.example/keys"),
        ("MASTERY_JWT_JWKS_URL", "https://id.example:99999/"),
        ("MASTERY_JWT_JWKS_URL", "https://id.example:https/"),
        ("MASTERY_JWT_JWKS_URL", "https://name:hunter2@id.example/keys"),
        ("MASTERY_JWT_JWKS_URL", "https://id example/keys"),
        ("MASTERY_CHUNKS_LOW_MARK", "201"),
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
@pytest.mark.parametrize("others", [{}, PRODUCTION], ids=["development", "production"])
def test_a_wrong_value_is_refused_by_name(others: dict[str, str], name: str, value: str) -> None:
    """The message names the variable, and does not quote the value, which may be a password."""
    with pytest.raises(SettingsError, match=f"^{name}: |\n{name}: ") as refused:
        load_settings({**others, name: value})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MASTERY_REDIS_URL", "redis://localhost"),
        ("MASTERY_REDIS_URL", "redis://name:p%40ss@[::1]:6380/15?client_name=mastery&socket_timeout=3"),
        ("MASTERY_REDIS_URL", "rediss://localhost:6380/0?ssl_cert_reqs=none"),
        ("MASTERY_REDIS_URL", "unix:///run/redis.sock?db=1"),
        ("MASTERY_KAFKA_BOOTSTRAP", "kafka-1:9092, SASL_SSL://kafka-2:9092,[::1]:9092"),
        ("MASTERY_JWT_JWKS_URL", "https://id.example:8443/keys?tenant=school"),
    ],
)
def test_places_can_be_named_in_every_way_that_works(name: str, value: str) -> None:
    """All forms that the drivers accept are valid."""
    assert load_settings({name: value}) != load_settings({})


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("MASTERY_ENV", "prod", "must be one of development, production"),
        ("MASTERY_RATELIMIT_ENABLED", "maybe", "must be one of on, off"),
        ("MASTERY_KAFKA_SECURITY_PROTOCOL", "TLS", "must be one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ("MASTERY_KEY_PREFIX", "{a}", "must be 1 to 50 letters, digits, _ or -"),
        (
            "MASTERY_RATELIMIT_INGEST",
            "often",
            "must be as 50/minute, or 50/minute, admin=600/minute; there are second, minute, hour and day",
        ),
        ("MASTERY_JWT_SECRET", "", "Expected `str` of length >= 1"),
        ("MASTERY_HTTP_PORT", "eighty", "Expected `int`, got `str`"),
    ],
)
def test_a_message_says_what_would_be_right(name: str, value: str, reason: str) -> None:
    """Words replace msgspec's patterns."""
    with pytest.raises(SettingsError) as refused:
        load_settings({name: value})
    assert str(refused.value) == f"{name}: {reason}"


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
    """Default secrets, short secrets and embedded servers are rejected."""
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
    """It is a variable with the prefix that is not a setting."""
    assert unknown_settings({"MASTERY_HTP_PORT": "1", "MASTERY_HTTP_PORT": "1", "HOME": "/"}) == ["MASTERY_HTP_PORT"]


def test_the_nearest_name_of_a_misspelt_setting_is_told() -> None:
    """Also if only the case is wrong; without a similar name, none is suggested."""
    known = ["MASTERY_HTTP_PORT", "MASTERY_REDIS_URL"]
    names = ["MASTERY_HTP_PORT", "mastery_redis_url", "MASTERY_XYZZY", "MASTERY_REDIS_URL", "HOME"]
    ignored = "is not a setting and is ignored"
    assert [complaint(name, known) for name in misspelt(names, known, "MASTERY_")] == [
        f"MASTERY_HTP_PORT {ignored}; did you mean MASTERY_HTTP_PORT?",
        f"MASTERY_XYZZY {ignored}",
        f"mastery_redis_url {ignored}; did you mean MASTERY_REDIS_URL?",
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::", "fe80::1%eth0", "localhost", "a.b-c.example."])
def test_hosts(host: str) -> None:
    """Names, IPv4 and IPv6 addresses are valid."""
    assert load_settings({**OWN_SECRETS, "MASTERY_HTTP_HOST": host}).http_host == host


@pytest.mark.parametrize("host", ["[::1]", "localhost:8005", "127.0.0.1:1", "http://localhost", "a b", "-a", "a/b", ":::"])
def test_what_is_no_host_is_refused(host: str) -> None:
    """The message names the setting, and describes valid values."""
    with pytest.raises(SettingsError, match="MASTERY_HTTP_HOST: must be a host's name, or an address as in"):
        load_settings({**OWN_SECRETS, "MASTERY_HTTP_HOST": host})


@pytest.mark.parametrize(
    ("host", "called", "written"),
    [
        ("0.0.0.0", "127.0.0.1", "127.0.0.1"),
        ("::", "::1", "[::1]"),
        ("::1", "::1", "[::1]"),
        ("fe80::1%eth0", "fe80::1%eth0", "[fe80::1%25eth0]"),
        ("example.org", "example.org", "example.org"),
    ],
)
def test_hosts_in_urls(host: str, called: str, written: str) -> None:
    """A wildcard address is not a place to call, so loopback is used; IPv6 has brackets."""
    assert (host_to_call(host), in_url(host_to_call(host))) == (called, written)
