"""The settings that are secrets, from the environment or from files, and their checks."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from app.config.field_types import Text
from app.config.secret_strength import is_variation, shortness, weakness
from app.config.tls_settings import TlsSettings
from app.config.url_settings import is_loopback, url_password

# Public: rejected in production, and wherever other machines can reach the services they protect.
DEVELOPMENT_SECRET = "development-secret-never-use-in-production"  # noqa: S105
DEVELOPMENT_AUDIT_KEY = "development-audit-key-never-use-in-production"
DEVELOPMENT_FLOWER_PASSWORD = "mastery"  # noqa: S105
HOW_TO_MAKE_ONE = "make one with `openssl rand -hex 32`"

KEYS = ("jwt_secret", "jwt_secret_previous", "audit_key", "audit_key_previous")
SECRET_FIELDS = frozenset({*KEYS, "flower_password", "kafka_password"})
# Each of them may be read from a file. URLs are included because they may contain passwords.
FILE_VARIABLES = tuple(f"MASTERY_{name.upper()}" for name in (*sorted(SECRET_FIELDS), "redis_url", "broker_url"))
_DEVELOPMENT = {
    "jwt_secret": DEVELOPMENT_SECRET,
    "audit_key": DEVELOPMENT_AUDIT_KEY,
    "flower_password": DEVELOPMENT_FLOWER_PASSWORD,
}


@dataclass(frozen=True, kw_only=True)
class SecretSettings(TlsSettings):
    """The part of ``app/config/settings.py`` with the secrets, and the hosts of the services that these protect."""

    http_host: Text = "127.0.0.1"
    flower_host: Text = "127.0.0.1"

    # The previous secret still verifies but no longer signs, so that secrets can be rotated without downtime.
    jwt_secret: Text = DEVELOPMENT_SECRET
    jwt_secret_previous: str = ""
    audit_key: Text = DEVELOPMENT_AUDIT_KEY  # HMAC key of the trail's pseudonyms and seals
    audit_key_previous: str = ""
    flower_password: Text = DEVELOPMENT_FLOWER_PASSWORD

    @property
    def jwt_secrets(self) -> list[str]:
        """The secrets that verify tokens, the current one first."""
        return [each for each in (self.jwt_secret, self.jwt_secret_previous) if each]


def weak_secrets(settings: SecretSettings, unused: frozenset[str]) -> Iterator[str]:
    """The secrets that production rejects, one line each; secrets in ``unused`` protect nothing and are not checked."""
    secrets = {name: secret for name in (*KEYS, "flower_password") if name not in unused and (secret := _value(settings, name))}
    weak = {name: reason for name, secret in secrets.items() if (reason := _reason(name, secret))}
    yield from (f"{_variable(name)}: {reason}" for name, reason in weak.items())
    others = {name: secret for name, secret in {**secrets, **_other_passwords(settings)}.items() if name not in weak}
    for (name, secret), (other, value) in combinations(others.items(), 2):
        if name in secrets and is_variation(secret, value):
            yield f"{_variable(name)}: is {_variable(other)}, or a variation of it: who knows one must not know the other"


def exposed_secrets(settings: SecretSettings, unused: frozenset[str]) -> Iterator[str]:
    """Development secrets of services that other machines can reach, in any ``MASTERY_ENV``; one line each."""
    places = dict.fromkeys(KEYS, "http_host") | {"flower_password": "flower_host"}
    for name, place in places.items():
        host = _value(settings, place)
        if name not in unused and not is_loopback(host) and _is_development(name, _value(settings, name)):
            refused = f"the development {_kind(name)} is refused where others can connect"
            yield f"{_variable(name)}: {refused}: {'Flower' if place == 'flower_host' else 'the API'} listens on {host}"


def _reason(name: str, secret: str) -> str | None:
    """Why production rejects a single secret; None if it does not."""
    kind = _kind(name)
    if _is_development(name, secret):
        return f"the development {kind} is refused in production"
    if reason := shortness(secret, is_password=kind == "password"):
        return f"{reason} in production"
    reason = weakness(secret)
    return f"{reason}, which is refused in production; {HOW_TO_MAKE_ONE}" if reason else None


def _kind(name: str) -> str:
    return "password" if name == "flower_password" else "secret"


def _is_development(name: str, secret: str) -> bool:
    """Whether it is a development secret, or a variation of one of the two long ones."""
    long = (DEVELOPMENT_SECRET, DEVELOPMENT_AUDIT_KEY)
    return secret == _DEVELOPMENT.get(name) or any(is_variation(secret, known) for known in long)


def _other_passwords(settings: SecretSettings) -> dict[str, str]:
    """The passwords of Redis, broker and Kafka, by setting."""
    urls = {name: url_password(_value(settings, name)) for name in ("redis_url", "broker_url")}
    if urls["redis_url"] == urls["broker_url"]:
        del urls["broker_url"]
    return {name: value for name, value in {"kafka_password": settings.kafka_password, **urls}.items() if value}


def _value(settings: SecretSettings, name: str) -> str:
    return str(getattr(settings, name)).strip()


def _variable(name: str) -> str:
    return f"MASTERY_{name.upper()}"
