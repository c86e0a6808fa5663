"""The settings of all processes: ``MASTERY_*`` environment variables, read only here.

Each has a default for development, a type and bounds; the error for a wrong value names the variable. Areas have their settings
and checks in modules of their own; those that concern all of them are here.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from app.config.audit_settings import AuditSettings
from app.config.batch_settings import BatchSettings, batch_contradictions
from app.config.bridge_settings import BridgeSettings, bridge_contradictions
from app.config.consent_settings import ConsentSettings, consent_contradictions
from app.config.field_types import Port, Seconds, Switch, Text
from app.config.http_settings import HttpSettings, http_contradictions, weak_http
from app.config.misspelt import misspelt, report_once
from app.config.prediction_settings import PredictionSettings
from app.config.quotas import QuotaSettings
from app.config.recommendation_settings import RecommendationSettings
from app.config.retention_limits import retention_contradictions
from app.config.secret_files import FILE_SUFFIX, with_secret_files
from app.config.secret_settings import (
    FILE_VARIABLES,
    SecretSettings,
    exposed_secrets,
    weak_secrets,
)
from app.config.tls_settings import tls_contradictions, weak_tls
from app.config.token_settings import SECRET_ALGORITHMS, TokenSettings, token_contradictions, weak_tokens
from app.config.topic_settings import TopicSettings
from app.config.url_settings import are_brokers, is_host, is_redis_url
from app.errors import SettingsError
from app.identifiers import IDENTIFIER_RULE, Identifier

PREFIX = "MASTERY_"
# Flower's options that could bypass our configuration: Flower reads them as FLOWER_* variables, some after flowerconfig.py.
_OPENS_FLOWER = (
    *("ADDRESS", "AUTH", "AUTH_PROVIDER", "BASIC_AUTH", "CONF", "COOKIE_SECRET", "DEBUG", "LOGGING", "OAUTH2_KEY"),
    *("OAUTH2_REDIRECT_URI", "OAUTH2_SECRET", "UNAUTHENTICATED_API", "UNIX_SOCKET", "XHEADERS"),
)

_HOST = "must be a host's name, or an address as in 127.0.0.1 or ::1; the port has a setting of its own"


@dataclass(frozen=True, kw_only=True, repr=False)  # no repr: secrets
class Settings(
    HttpSettings,
    TokenSettings,
    TopicSettings,
    BridgeSettings,
    BatchSettings,
    AuditSettings,
    QuotaSettings,
    SecretSettings,
    ConsentSettings,
    RecommendationSettings,
    PredictionSettings,
):
    """The validated environment. Field ``redis_url`` is the variable ``MASTERY_REDIS_URL``, and so on."""

    env: Literal["development", "production"] = "development"
    data_dir: Text = ".mastery"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    key_prefix: Annotated[Identifier, Meta(description=IDENTIFIER_RULE)] = "mastery"

    # Redis state. Two seconds are long for a command that takes microseconds, and short for a waiting caller.
    redis_timeout_seconds: Seconds = 2.0
    redis_warning_share: Annotated[float, Meta(gt=0, le=1)] = 0.8  # of its memory; early enough for an operator to act
    redis_rewrite: Switch = "on"  # of its append-only file, every night: deleted data is in it until then
    redis_max_connections: Annotated[int, Meta(ge=2, le=10_000)] = 64

    # Domain. The oracle and the privacy notice both say 90 days. Its limits for other times: retention_limits.py.
    retention_days: Annotated[int, Meta(ge=14, le=3650)] = 90

    # One process works while the other waits for Redis: 15 % more events on two cores than with one process.
    worker_concurrency: Annotated[int, Meta(ge=1, le=64)] = 2
    worker_queues: str = ""  # the queues that a worker serves, comma-separated; empty: all (tasks/queues.py)

    flower_port: Port = 0  # 0: a free port
    flower_user: Text = "mastery"

    @property
    def broker(self) -> str:
        """The URL of Celery's broker: MASTERY_BROKER_URL, or by default the state's Redis."""
        return self.broker_url or self.redis_url

    @property
    def data_path(self) -> Path:
        """The absolute path of the data folder."""
        return Path(self.data_dir).resolve()


VARIABLES = {f"{PREFIX}{field.name.upper()}": field for field in fields(Settings)}
_KNOWN = VARIABLES.keys() | {f"{name}{FILE_SUFFIX}" for name in FILE_VARIABLES}


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Validated settings from ``environ`` or ``os.environ``; warns of misspelt variables there. Raises SettingsError."""
    given = os.environ if environ is None else environ
    if environ is None:
        report_once(unknown_settings(given), _KNOWN)
    source, problems = with_secret_files(given, FILE_VARIABLES)
    if problems:  # stop here: the values missing because of them would be reported too
        raise SettingsError("\n".join(problems))
    try:
        values = {field.name: source[variable] for variable, field in VARIABLES.items() if variable in source}
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_readable(str(error))) from error
    problems = _contradictions(settings)
    problems += _unfit_for_production(settings, source) if settings.env == "production" else _unfit_for_others(settings)
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def refuse_exposed(settings: Settings, host: str) -> None:
    """Raise SettingsError unless the API may be served at this address, whether or not it is that of the settings."""
    served = replace(settings, http_host=host)
    if served.env != "production" and (problems := _unfit_for_others(served)):
        raise SettingsError("\n".join(problems))


def settings_or_exit() -> Settings:
    """The settings of a process started by gunicorn or Celery. Exits with one line per problem if they are wrong."""
    try:
        return load_settings()
    except SettingsError as error:
        sys.exit(str(error))


def _readable(message: str) -> str:
    """msgspec's error, with the variable's name; for patterns and literals, the allowed values instead."""
    reason, _, path = message.partition(" - at `$.")
    name = f"{PREFIX}{path.rstrip('`').upper()}"
    kind = VARIABLES[name].type
    if get_origin(kind) is Literal:
        reason = f"must be one of {', '.join(get_args(kind))}"
    elif get_origin(kind) is Annotated and "regex" in reason:
        reason = next(each.description for each in get_args(kind) if isinstance(each, Meta) and each.description)
    return f"{name}: {reason}"


def _contradictions(settings: Settings) -> list[str]:
    """Settings that are invalid or contradict each other."""
    url = "must be redis://host:port/db, rediss://host:port/db or unix:///path, with options that redis-py knows"
    wrong = {
        f"MASTERY_REDIS_URL: {url}": settings.redis_url and not is_redis_url(settings.redis_url),
        f"MASTERY_BROKER_URL: {url}": settings.broker_url and not is_redis_url(settings.broker_url),
        "MASTERY_KAFKA_BOOTSTRAP: must be host:port, or several separated by commas": settings.kafka_bootstrap
        and not are_brokers(settings.kafka_bootstrap),
        f"MASTERY_HTTP_HOST: {_HOST}": not is_host(settings.http_host),
        f"MASTERY_FLOWER_HOST: {_HOST}": not is_host(settings.flower_host),
    }
    return [
        *(message for message, is_so in wrong.items() if is_so),
        *token_contradictions(settings),
        *bridge_contradictions(settings),
        *batch_contradictions(settings),
        *consent_contradictions(settings),
        *http_contradictions(settings),
        *retention_contradictions(settings),
        *tls_contradictions(settings),
    ]


def _unfit_for_production(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Settings that are allowed only in development."""
    unfit = {
        "MASTERY_LOG_LEVEL: DEBUG is refused in production, since libraries log what they handle": settings.log_level
        == "DEBUG",
        "FLASK_DEBUG: is refused in production": _is_on(environ.get("FLASK_DEBUG", "")),
        "MASTERY_REDIS_URL: must be set in production, where nothing is embedded": not settings.redis_url,
        "MASTERY_KAFKA_BOOTSTRAP: must be set in production, where nothing is embedded": not settings.kafka_bootstrap,
        **{
            f"FLOWER_{name}: is refused in production; Flower has the MASTERY_FLOWER_ settings": (
                _is_on(environ.get(f"FLOWER_{name}", ""))
            )
            for name in _OPENS_FLOWER
        },
    }
    return [
        *weak_secrets(settings, _unused_secrets(settings)),
        *weak_tls(settings),
        *weak_http(settings),
        *weak_tokens(settings),
        *(message for message, is_so in unfit.items() if is_so),
    ]


def _unfit_for_others(settings: Settings) -> list[str]:
    """Settings that are allowed in development only if other machines cannot reach the services."""
    return list(exposed_secrets(settings, _unused_secrets(settings)))


def _unused_secrets(settings: Settings) -> frozenset[str]:
    """The secrets that protect nothing because an identity provider signs the tokens."""
    is_used = not SECRET_ALGORITHMS.isdisjoint(settings.algorithms)
    return frozenset() if is_used else frozenset({"jwt_secret", "jwt_secret_previous"})


def _is_on(value: str) -> bool:
    return value.lower() not in {"", "0", "false", "no", "off"}


def unknown_settings(environ: Mapping[str, str]) -> list[str]:
    """Unknown variables with the settings' prefix: misspelt, or of another version. They are ignored."""
    return misspelt(environ, _KNOWN, PREFIX)
