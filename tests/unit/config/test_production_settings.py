"""Production rejects development settings; development secrets are rejected wherever other machines can connect."""

from hashlib import sha256
from typing import TypeAlias

import pytest
from flower.options import default_options

from app.config.secret_settings import DEVELOPMENT_AUDIT_KEY, DEVELOPMENT_SECRET
from app.config.settings import _OPENS_FLOWER, load_settings
from app.errors import SettingsError
from tests.production import PRODUCTION

OTHER = sha256(b"another").hexdigest()
JWT, AUDIT = PRODUCTION["MASTERY_JWT_SECRET"], PRODUCTION["MASTERY_AUDIT_KEY"]
PROVIDER = {
    "MASTERY_JWT_JWKS_URL": "https://id.example/keys",
    "MASTERY_JWT_ISSUER": "https://id.example",
    "MASTERY_JWT_AUDIENCE": "mastery",
}
SCRAM = {"MASTERY_KAFKA_USERNAME": "engine", "MASTERY_KAFKA_PASSWORD": "x", "MASTERY_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}
PLAINTEXT = "is refused in production; inside a private network, MASTERY_ALLOW_PLAINTEXT=on allows it"
EXAMPLE = (
    "reads like an example, or like a word that was to be replaced, which is refused in production; "
    "make one with `openssl rand -hex 32`"
)
REPEATS = "repeats itself, which is refused in production; make one with `openssl rand -hex 32`"
FEW = "needs at least 8 different characters, which is refused in production; make one with `openssl rand -hex 32`"
VARIATION = "or a variation of it: who knows one must not know the other"
PASSWORD = "needs a password in production, as in rediss://:password@host, or the engine's certificate"

Changes: TypeAlias = dict[str, str | None]


def opens_flower(name: str) -> tuple[str, Changes]:
    return f"FLOWER_{name}: is refused in production; Flower has the MASTERY_FLOWER_ settings", {f"FLOWER_{name}": "true"}


# The wrong setting, and the line that reports it.
REFUSED: list[tuple[str, Changes]] = [
    ("MASTERY_JWT_SECRET: the development secret is refused in production", {"MASTERY_JWT_SECRET": None}),
    ("MASTERY_JWT_SECRET: the development secret is refused in production", {"MASTERY_JWT_SECRET": f"{DEVELOPMENT_SECRET}!"}),
    ("MASTERY_JWT_SECRET: the development secret is refused in production", {"MASTERY_JWT_SECRET": DEVELOPMENT_AUDIT_KEY}),
    ("MASTERY_JWT_SECRET: needs at least 32 bytes in production", {"MASTERY_JWT_SECRET": JWT[:31] + " "}),
    (f"MASTERY_JWT_SECRET: {FEW}", {"MASTERY_JWT_SECRET": "1234567" * 9}),
    (f"MASTERY_JWT_SECRET: {REPEATS}", {"MASTERY_JWT_SECRET": "0123456789abcdef" * 4}),
    (f"MASTERY_JWT_SECRET: {EXAMPLE}", {"MASTERY_JWT_SECRET": "your-256-bit-secret-your-256-bit-key"}),
    ("MASTERY_JWT_SECRET_PREVIOUS: needs at least 32 bytes in production", {"MASTERY_JWT_SECRET_PREVIOUS": "short"}),
    (
        f"MASTERY_JWT_SECRET: is MASTERY_JWT_SECRET_PREVIOUS, {VARIATION}",
        {"MASTERY_JWT_SECRET_PREVIOUS": f"{JWT[:50]}{OTHER[:14]}"},
    ),
    ("MASTERY_AUDIT_KEY: the development secret is refused in production", {"MASTERY_AUDIT_KEY": None}),
    ("MASTERY_AUDIT_KEY: needs at least 32 bytes in production", {"MASTERY_AUDIT_KEY": "short"}),
    (f"MASTERY_JWT_SECRET: is MASTERY_AUDIT_KEY, {VARIATION}", {"MASTERY_AUDIT_KEY": f"{JWT} "}),
    (f"MASTERY_JWT_SECRET: is MASTERY_AUDIT_KEY, {VARIATION}", {"MASTERY_JWT_SECRET": f"x{AUDIT.upper()}"}),
    (f"MASTERY_AUDIT_KEY: is MASTERY_AUDIT_KEY_PREVIOUS, {VARIATION}", {"MASTERY_AUDIT_KEY_PREVIOUS": f"{AUDIT}2"}),
    (
        f"MASTERY_AUDIT_KEY: is MASTERY_REDIS_URL, {VARIATION}",
        {"MASTERY_REDIS_URL": f"rediss://engine:{AUDIT}@redis:6380/0"},
    ),
    (
        f"MASTERY_FLOWER_PASSWORD: is MASTERY_BROKER_URL, {VARIATION}",
        {"MASTERY_BROKER_URL": "rediss://127.0.0.1/0?password=correct+horse+battery+staple"},
    ),
    ("MASTERY_FLOWER_PASSWORD: the development password is refused in production", {"MASTERY_FLOWER_PASSWORD": None}),
    ("MASTERY_FLOWER_PASSWORD: needs at least 15 characters in production", {"MASTERY_FLOWER_PASSWORD": "fourteen chars"}),
    (f"MASTERY_FLOWER_PASSWORD: {FEW}", {"MASTERY_FLOWER_PASSWORD": "1234567" * 3}),
    (f"MASTERY_FLOWER_PASSWORD: {EXAMPLE}", {"MASTERY_FLOWER_PASSWORD": "a password of 15 characters"}),
    ("MASTERY_JWT_ALGORITHMS: none is refused; there are ES256, HS256, RS256", {"MASTERY_JWT_ALGORITHMS": "none"}),
    ("MASTERY_JWT_JWKS_URL: must be https:// in production", {**PROVIDER, "MASTERY_JWT_JWKS_URL": "http://id.example/keys"}),
    (
        "MASTERY_JWT_ISSUER: must be set in production beside MASTERY_JWT_JWKS_URL",
        {**PROVIDER, "MASTERY_JWT_ISSUER": None},
    ),
    (
        "MASTERY_JWT_AUDIENCE: must be set in production beside MASTERY_JWT_JWKS_URL, whose keys sign tokens for others, too",
        {**PROVIDER, "MASTERY_JWT_AUDIENCE": None},
    ),
    ("MASTERY_RATELIMIT_ENABLED: off is refused in production", {"MASTERY_RATELIMIT_ENABLED": "off"}),
    ("MASTERY_LOG_LEVEL: DEBUG is refused in production, since libraries log what they handle", {"MASTERY_LOG_LEVEL": "DEBUG"}),
    ("FLASK_DEBUG: is refused in production", {"FLASK_DEBUG": "1"}),
    (
        "MASTERY_CORS_ORIGINS: * is refused in production; name the origins",
        {"MASTERY_CORS_ORIGINS": "https://a.example, *"},
    ),
    (
        "MASTERY_CORS_ORIGINS: http://a.example, http://localhost is refused in production; origins begin with https://",
        {"MASTERY_CORS_ORIGINS": "https://b.example, http://a.example, http://localhost"},
    ),
    *map(opens_flower, _OPENS_FLOWER),
    ("MASTERY_REDIS_URL: must be set in production, where nothing is embedded", {"MASTERY_REDIS_URL": None}),
    ("MASTERY_KAFKA_BOOTSTRAP: must be set in production, where nothing is embedded", {"MASTERY_KAFKA_BOOTSTRAP": None}),
    (f"MASTERY_REDIS_URL: redis:// to another machine {PLAINTEXT}", {"MASTERY_REDIS_URL": "redis://:p@10.0.0.1/0"}),
    (f"MASTERY_REDIS_URL: {PASSWORD}", {"MASTERY_REDIS_URL": "rediss://redis/0"}),
    (f"MASTERY_REDIS_URL: {PASSWORD}", {"MASTERY_REDIS_URL": "redis://redis/0", "MASTERY_ALLOW_PLAINTEXT": "on"}),
    (f"MASTERY_BROKER_URL: {PASSWORD}", {"MASTERY_BROKER_URL": "rediss://name@redis/0"}),
    (f"MASTERY_BROKER_URL: redis:// to another machine {PLAINTEXT}", {"MASTERY_BROKER_URL": "redis://redis/0?password=p"}),
    (
        f"MASTERY_KAFKA_SECURITY_PROTOCOL: PLAINTEXT to another machine {PLAINTEXT}",
        {"MASTERY_KAFKA_BOOTSTRAP": "127.0.0.1:2,kafka-2:9092"},
    ),
    (
        f"MASTERY_KAFKA_SECURITY_PROTOCOL: SASL_PLAINTEXT to another machine {PLAINTEXT}",
        {**SCRAM, "MASTERY_KAFKA_BOOTSTRAP": "kafka-1"},
    ),
]


def refusal(environ: Changes) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings({name: value for name, value in environ.items() if value is not None})
    return str(refused.value)


@pytest.mark.parametrize(("line", "changes"), REFUSED, ids=[line.partition(":")[0] for line, _ in REFUSED])
def test_each_is_refused_with_a_line_of_its_own(line: str, changes: Changes) -> None:
    """One wrong setting gives exactly one line."""
    assert refusal({**PRODUCTION, **changes}) == line


@pytest.mark.parametrize(
    "changes",
    [
        {"MASTERY_JWT_SECRET_PREVIOUS": OTHER},
        {"MASTERY_AUDIT_KEY_PREVIOUS": OTHER},
        PROVIDER,
        {**PROVIDER, "MASTERY_JWT_SECRET": None},
        {"MASTERY_CORS_ORIGINS": "https://school.example"},
        {"FLOWER_PORT": "tcp://10.0.0.1:5555", "FLOWER_MAX_TASKS": "5", "FLOWER_DEBUG": "false"},
        {"MASTERY_REDIS_URL": "rediss://:p@redis/0", "MASTERY_BROKER_URL": "rediss://redis/1?password=p"},
        {"MASTERY_REDIS_URL": "redis://:p@redis/0", "MASTERY_ALLOW_PLAINTEXT": "on"},
        {"MASTERY_REDIS_URL": "redis://[::1]/0", "MASTERY_BROKER_URL": "redis://localhost"},
        {"MASTERY_REDIS_URL": "unix:///run/redis.sock"},
        {"MASTERY_KAFKA_BOOTSTRAP": "kafka-1:9092", "MASTERY_KAFKA_SECURITY_PROTOCOL": "SSL"},
        {"MASTERY_KAFKA_BOOTSTRAP": "kafka-1:9092", "MASTERY_ALLOW_PLAINTEXT": "on"},
        {"MASTERY_KAFKA_BOOTSTRAP": "localhost,127.0.0.2:9092,[::1]:9092,[::1],SSL://localhost:9093"},
        {"MASTERY_HTTP_HOST": "0.0.0.0", "MASTERY_FLOWER_HOST": "::"},
    ],
    ids=[*range(14)],
)
def test_what_is_safe_is_let_through(changes: Changes) -> None:
    """A client certificate may replace a password."""
    assert load_settings({name: value for name, value in {**PRODUCTION, **changes}.items() if value is not None})


def test_flower_knows_the_variables_that_open_it() -> None:
    """This version of Flower uses these names."""
    unknown = [name for name in _OPENS_FLOWER if name.lower() not in default_options]
    assert unknown == ["UNAUTHENTICATED_API"]  # not an option: Flower reads the variable itself


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"MASTERY_HTTP_HOST": "0.0.0.0"}, ["MASTERY_JWT_SECRET", "MASTERY_AUDIT_KEY"]),
        ({"MASTERY_HTTP_HOST": "::", "MASTERY_JWT_SECRET": JWT}, ["MASTERY_AUDIT_KEY"]),
        ({"MASTERY_HTTP_HOST": "school.example", "MASTERY_AUDIT_KEY": AUDIT}, ["MASTERY_JWT_SECRET"]),
        ({"MASTERY_HTTP_HOST": "192.168.0.9", **PROVIDER}, ["MASTERY_AUDIT_KEY"]),
        ({"MASTERY_FLOWER_HOST": "0.0.0.0"}, ["MASTERY_FLOWER_PASSWORD"]),
        (
            {
                "MASTERY_HTTP_HOST": "0.0.0.0",
                "MASTERY_JWT_SECRET": JWT,
                "MASTERY_JWT_SECRET_PREVIOUS": DEVELOPMENT_SECRET,
                "MASTERY_AUDIT_KEY": AUDIT,
                "MASTERY_AUDIT_KEY_PREVIOUS": DEVELOPMENT_AUDIT_KEY,
            },
            ["MASTERY_JWT_SECRET_PREVIOUS", "MASTERY_AUDIT_KEY_PREVIOUS"],
        ),
        (
            {"MASTERY_HTTP_HOST": "10.0.0.1", "MASTERY_JWT_SECRET": f"{DEVELOPMENT_SECRET}!", "MASTERY_AUDIT_KEY": AUDIT},
            ["MASTERY_JWT_SECRET"],
        ),
    ],
    ids=[*range(7)],
)
def test_development_secrets_are_for_loopback(changes: Changes, lines: list[str]) -> None:
    """A deployment without MASTERY_ENV does not expose them."""
    said = refusal({**changes}).splitlines()
    assert [line.partition(":")[0] for line in said] == lines
    [(place, host)] = [(name, value) for name, value in changes.items() if name.endswith("_HOST")]
    part = "Flower" if "FLOWER" in place else "the API"
    assert all(line.endswith(f" is refused where others can connect: {part} listens on {host}") for line in said)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "::1", "localhost", "LocalHost."])
def test_on_loopback_they_are_fine(host: str) -> None:
    """This holds for every name of loopback."""
    assert load_settings({"MASTERY_HTTP_HOST": host, "MASTERY_FLOWER_HOST": host})


def test_secrets_of_one_s_own_may_be_anywhere() -> None:
    """Development accepts any own secrets."""
    names = {"MASTERY_JWT_SECRET": "short", "MASTERY_AUDIT_KEY": "short", "MASTERY_FLOWER_PASSWORD": "x"}
    assert load_settings({**names, "MASTERY_HTTP_HOST": "0.0.0.0", "MASTERY_FLOWER_HOST": "0.0.0.0"})
