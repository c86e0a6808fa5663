"""The settings of all processes: ``MASTERY_*`` environment variables, read only here.

Each has a default for development, a type and bounds; the error for a wrong value names the variable.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from app.config.field_types import Port, RateLimits, Seconds
from app.config.misspelt import misspelt, report_once
from app.config.quotas import Quota
from app.config.secret_files import FILE_SUFFIX, with_secret_files
from app.config.secret_settings import (
    FILE_VARIABLES,
    SecretSettings,
    exposed_secrets,
    weak_secrets,
)
from app.config.tls_settings import Switch, Text, tls_contradictions, weak_tls
from app.config.url_settings import are_brokers, is_host, is_http_url, is_redis_url
from app.errors import SettingsError
from app.identifiers import IDENTIFIER_RULE, Identifier

PREFIX = "MASTERY_"
# A shared secret (RFC 7518 section 3.2), or keys of an identity provider (sections 3.3 and 3.4).
SECRET_ALGORITHMS = frozenset({"HS256"})
KEY_ALGORITHMS = frozenset({"RS256", "ES256"})
# Flower's options that could bypass our configuration: Flower reads them as FLOWER_* variables, some after flowerconfig.py.
_OPENS_FLOWER = (
    *("ADDRESS", "AUTH", "AUTH_PROVIDER", "BASIC_AUTH", "CONF", "COOKIE_SECRET", "DEBUG", "LOGGING", "OAUTH2_KEY"),
    *("OAUTH2_REDIRECT_URI", "OAUTH2_SECRET", "UNAUTHENTICATED_API", "UNIX_SOCKET", "XHEADERS"),
)
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")  # RFC 6454 section 6.2: no path, no final slash

_HOST = "must be a host's name, or an address as in 127.0.0.1 or ::1; the port has a setting of its own"


class Settings(SecretSettings, frozen=True, kw_only=True):
    """The validated environment. Field ``redis_url`` is the variable ``MASTERY_REDIS_URL``, and so on."""

    env: Literal["development", "production"] = "development"
    data_dir: Text = ".mastery"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    key_prefix: Annotated[Identifier, Meta(description=IDENTIFIER_RULE)] = "mastery"

    # Redis state. Two seconds are long for a command that takes microseconds, and short for a waiting caller.
    redis_timeout_seconds: Seconds = 2.0
    redis_warning_share: Annotated[float, Meta(gt=0, le=1)] = 0.8  # of its memory; early enough for an operator to act
    redis_max_connections: Annotated[int, Meta(ge=2, le=10_000)] = 64

    # HTTP. One process of 8 threads uses the CPU time that the other parts leave on two cores.
    http_port: Port = 8005
    http_workers: Annotated[int, Meta(ge=1, le=64)] = 1
    http_threads: Annotated[int, Meta(ge=1, le=256)] = 8
    # Connections per process: slow, idle and busy. Each takes a file descriptor; a common limit is 1,024.
    http_connections: Annotated[int, Meta(ge=16, le=100_000)] = 800
    # From a request's first byte to its last (2 MB at 200 KB/s); then the connection is closed.
    http_request_seconds: Annotated[float, Meta(ge=1, le=600)] = 10.0
    http_max_header_bytes: Annotated[int, Meta(ge=4096, le=1_000_000)] = 32_768  # per header: a token with 500 cohorts
    http_max_body_bytes: Annotated[int, Meta(ge=1024, le=100_000_000)] = 2_000_000
    calculate_wait_seconds: Seconds = 5.0  # how long a caller waits for a task before it gets a 202
    # Callers per process that wait at the same time, each blocking a thread; others get a 202 at once. At least one thread
    # stays free for requests without tasks, whatever this says.
    calculate_waiters: Annotated[int, Meta(ge=0, le=255)] = 6
    ingest_wait_seconds: Seconds = 5.0  # how long a request waits for Kafka's acknowledgement before it gets a 503
    # How long the response to an idempotent request is kept: a client that was offline overnight finds it. About 0.3 KB each.
    idempotency_ttl_seconds: Annotated[int, Meta(ge=60, le=30 * 86400)] = 86_400
    http_trusted_proxies: Annotated[int, Meta(ge=0, le=10)] = 0  # number of proxies that add X-Forwarded-For and -Proto
    cors_origins: str = ""  # origins whose pages may call the API, comma-separated

    # Tokens: signed with the secret, or with a key from the identity provider's JWKS URL.
    jwt_jwks_url: str = ""
    jwt_algorithms: str = ""  # comma-separated; empty: HS256, or with a JWKS URL RS256,ES256
    jwt_issuer: str = ""  # required value of `iss`; empty: not checked
    jwt_audience: str = ""  # required value or member of `aud`; empty: tokens with `aud` are rejected
    jwt_leeway_seconds: Annotated[int, Meta(ge=0, le=300)] = 10  # tolerated clock skew of the provider
    # Maximum lifetime of a token. It bounds how long revocations are kept and how long a stolen token is useful.
    jwt_max_seconds: Annotated[int, Meta(ge=60, le=366 * 86400)] = 30 * 86_400
    token_ttl_seconds: Annotated[int, Meta(ge=60, le=30 * 86400)] = 86_400  # of development tokens

    # Rate limits per caller and area; sliding windows.
    ratelimit_enabled: Switch = "on"
    ratelimit_mastery: RateLimits = "50/minute"
    ratelimit_ingest: RateLimits = "600/minute"  # of up to 500 events: the throughput of one worker
    ratelimit_default: RateLimits = "120/minute"
    ratelimit_anonymous: RateLimits = "300/minute"  # per address: public routes, and requests without a valid token

    # The audit trail: an entry takes about 0.3 KB of Redis.
    audit_retention_days: Annotated[int, Meta(ge=1, le=3650)] = 365
    # File outside Redis to which a worker appends each trail's head at this interval. Empty: none.
    audit_heads_file: str = ""
    audit_heads_seconds: Annotated[float, Meta(ge=1, le=86_400)] = 3600.0

    # Quotas per tenant: 100000, or 100000, socsci=250000. A student takes up to 4 KB of Redis.
    quota_students: Quota = "1000000"
    quota_idempotency_bytes: Quota = "100000000"  # the responses to about 250,000 requests
    # Events produced per minute, over Kafka and HTTP together. Unlimited by default, so that history can be loaded.
    quota_events: Quota = "unlimited"

    # Domain. The oracle and the privacy notice both say 90 days.
    retention_days: Annotated[int, Meta(ge=14, le=3650)] = 90

    # Kafka bridge. With 500 events per task, the task overhead of 1 ms is 2 µs per event; larger chunks only add latency.
    kafka_group: Text = "mastery-bridge"
    events_topic: Text = "mastery.events"
    dlq_topic: Text = "mastery.dlq"
    chunk_events: Annotated[int, Meta(ge=1, le=10_000)] = 500
    chunk_wait_seconds: Annotated[float, Meta(gt=0, le=10)] = 0.05  # the longest an event waits for its chunk to fill
    results_topic: Text = "mastery.results"
    # Kafka's session timeout: after it, a dead bridge's partitions are reassigned.
    kafka_session_seconds: Annotated[float, Meta(ge=1, le=300)] = 10.0
    # A chunk without activity for this long has lost its task. Longer than a retry's delay, and than 200 chunks take.
    chunk_overdue_seconds: Seconds = 30.0
    # Chunks accepted and not yet recorded: above the high mark the bridge pauses until the low mark is reached. 200 chunks are
    # 5 MB of Redis and six seconds of work: enough to keep the workers busy, few enough to keep the latency of new events low.
    chunks_high_mark: Annotated[int, Meta(ge=1, le=100_000)] = 200
    chunks_low_mark: Annotated[int, Meta(ge=0, le=100_000)] = 150
    # A tenant's events above this rate per bridge go to the bulk lane, which serves its tenants in turn. A worker records
    # about 10,000 a second, so ten tenants may reach this rate before anybody waits.
    tenant_events_per_second: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_000
    # The marks of the bulk lane. 1,000 chunks are 25 MB: half a million events of one tenant, without delay for the others.
    bulk_chunks_high_mark: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    bulk_chunks_low_mark: Annotated[int, Meta(ge=0, le=100_000)] = 900
    # A larger share of invalid recent records means a bad deploy, not bad data: the bridge stops. 1: never.
    poison_share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    poison_records: Annotated[int, Meta(ge=1, le=1_000_000)] = 200  # minimum sample size for the share
    bridge_metrics_port: Port = 0  # 0: not served, except by `mastery up`, which picks a free port
    bridge_heartbeat_file: str = ""  # touched while the bridge polls; empty: bridge.heartbeat in the data folder

    # The topics that `mastery topics create` creates. The number of partitions limits the number of active bridges.
    kafka_partitions: Annotated[int, Meta(ge=1, le=10_000)] = 12
    kafka_replication: Annotated[int, Meta(ge=1, le=15)] = 1  # 3 in production
    events_retention_days: Annotated[int, Meta(ge=1, le=3650)] = 7  # the longest Redis outage, or age of a restored backup
    results_retention_days: Annotated[int, Meta(ge=1, le=3650)] = 7
    dlq_retention_days: Annotated[int, Meta(ge=1, le=3650)] = 30  # the time to investigate failures

    # One process works while the other waits for Redis: 15 % more events on two cores than with one process.
    worker_concurrency: Annotated[int, Meta(ge=1, le=64)] = 2

    flower_port: Port = 0  # 0: a free port
    flower_user: Text = "mastery"

    @property
    def algorithms(self) -> list[str]:
        """The algorithms that a token may be signed with."""
        return listed(self.jwt_algorithms or ("RS256,ES256" if self.jwt_jwks_url else "HS256"))

    @property
    def broker(self) -> str:
        """The URL of Celery's broker: MASTERY_BROKER_URL, or by default the state's Redis."""
        return self.broker_url or self.redis_url

    @property
    def data_path(self) -> Path:
        """The absolute path of the data folder."""
        return Path(self.data_dir).resolve()


_KNOWN = {field.encode_name for field in msgspec.structs.fields(Settings)} | {f"{name}{FILE_SUFFIX}" for name in FILE_VARIABLES}


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Validated settings from ``environ`` or ``os.environ``; warns of misspelt variables there. Raises SettingsError."""
    given = os.environ if environ is None else environ
    if environ is None:
        report_once(unknown_settings(given), _KNOWN)
    source, problems = with_secret_files(given, FILE_VARIABLES)
    if problems:  # stop here: the values missing because of them would be reported too
        raise SettingsError("\n".join(problems))
    try:
        settings = msgspec.convert(source, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_readable(str(error))) from error
    problems = _contradictions(settings)
    problems += _unfit_for_production(settings, source) if settings.env == "production" else _unfit_for_others(settings)
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def refuse_exposed(settings: Settings, host: str) -> None:
    """Raise SettingsError unless the API may be served at this address, whether or not it is that of the settings."""
    served = msgspec.structs.replace(settings, http_host=host)
    if served.env != "production" and (problems := _unfit_for_others(served)):
        raise SettingsError("\n".join(problems))


def settings_or_exit() -> Settings:
    """The settings of a process started by gunicorn or Celery. Exits with one line per problem if they are wrong."""
    try:
        return load_settings()
    except SettingsError as error:
        sys.exit(str(error))


def listed(text: str) -> list[str]:
    """The items of a comma-separated setting."""
    return [part for part in (each.strip() for each in text.split(",")) if part]


def _readable(message: str) -> str:
    """msgspec's error, with the variable's name; for patterns and literals, the allowed values instead."""
    reason, _, path = message.partition(" - at `$.")
    name = path.rstrip("`")
    (kind,) = (field.type for field in msgspec.structs.fields(Settings) if field.encode_name == name)
    if get_origin(kind) is Literal:
        reason = f"must be one of {', '.join(get_args(kind))}"
    elif get_origin(kind) is Annotated and "regex" in reason:
        reason = next(each.description for each in get_args(kind) if isinstance(each, Meta) and each.description)
    return f"{name}: {reason}"


def _contradictions(settings: Settings) -> list[str]:
    """Settings that are invalid or contradict each other."""
    unknown = set(settings.algorithms) - SECRET_ALGORITHMS - KEY_ALGORITHMS
    known = ", ".join(sorted(SECRET_ALGORITHMS | KEY_ALGORITHMS))
    needs_keys = KEY_ALGORITHMS & set(settings.algorithms)
    no_origins = [each for each in listed(settings.cors_origins) if each != "*" and not _ORIGIN.fullmatch(each)]
    url = "must be redis://host:port/db, rediss://host:port/db or unix:///path, with options that redis-py knows"
    wrong = {
        f"MASTERY_REDIS_URL: {url}": settings.redis_url and not is_redis_url(settings.redis_url),
        f"MASTERY_BROKER_URL: {url}": settings.broker_url and not is_redis_url(settings.broker_url),
        "MASTERY_KAFKA_BOOTSTRAP: must be host:port, or several separated by commas": settings.kafka_bootstrap
        and not are_brokers(settings.kafka_bootstrap),
        f"MASTERY_HTTP_HOST: {_HOST}": not is_host(settings.http_host),
        f"MASTERY_FLOWER_HOST: {_HOST}": not is_host(settings.flower_host),
        f"MASTERY_JWT_ALGORITHMS: {', '.join(sorted(unknown))} is refused; there are {known}": unknown,
        f"MASTERY_JWT_ALGORITHMS: names none of {known}": not settings.algorithms,
        "MASTERY_JWT_ALGORITHMS: RS256 and ES256 need MASTERY_JWT_JWKS_URL": needs_keys and not settings.jwt_jwks_url,
        "MASTERY_JWT_JWKS_URL: must be https://host/…, without a name and password": settings.jwt_jwks_url
        and not is_http_url(settings.jwt_jwks_url),
        "MASTERY_TOKEN_TTL_SECONDS: is above MASTERY_JWT_MAX_SECONDS": settings.token_ttl_seconds > settings.jwt_max_seconds,
        "MASTERY_CHUNKS_LOW_MARK: is above MASTERY_CHUNKS_HIGH_MARK": settings.chunks_low_mark > settings.chunks_high_mark,
        "MASTERY_BULK_CHUNKS_LOW_MARK: is above MASTERY_BULK_CHUNKS_HIGH_MARK": settings.bulk_chunks_low_mark
        > settings.bulk_chunks_high_mark,
        f"MASTERY_CORS_ORIGINS: {', '.join(no_origins)} is no origin, as in https://school.example": no_origins,
    }
    return [message for message, is_so in wrong.items() if is_so] + tls_contradictions(settings)


def _unfit_for_production(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Settings that are allowed only in development."""
    plain = [each for each in listed(settings.cors_origins) if each.startswith("http:")]
    has_provider = bool(settings.jwt_jwks_url)
    unfit = {
        "MASTERY_LOG_LEVEL: DEBUG is refused in production, since libraries log what they handle": settings.log_level
        == "DEBUG",
        "FLASK_DEBUG: is refused in production": _is_on(environ.get("FLASK_DEBUG", "")),
        "MASTERY_RATELIMIT_ENABLED: off is refused in production": settings.ratelimit_enabled == "off",
        "MASTERY_CORS_ORIGINS: * is refused in production; name the origins": "*" in listed(settings.cors_origins),
        f"MASTERY_CORS_ORIGINS: {', '.join(plain)} is refused in production; origins begin with https://": plain,
        "MASTERY_JWT_JWKS_URL: must be https:// in production": settings.jwt_jwks_url.lower().startswith("http:"),
        "MASTERY_JWT_ISSUER: must be set in production beside MASTERY_JWT_JWKS_URL": has_provider and not settings.jwt_issuer,
        "MASTERY_JWT_AUDIENCE: must be set in production beside MASTERY_JWT_JWKS_URL, whose keys sign tokens for others, too": (
            has_provider and not settings.jwt_audience
        ),
        "MASTERY_REDIS_URL: must be set in production, where nothing is embedded": not settings.redis_url,
        "MASTERY_KAFKA_BOOTSTRAP: must be set in production, where nothing is embedded": not settings.kafka_bootstrap,
        **{
            f"FLOWER_{name}: is refused in production; Flower has the MASTERY_FLOWER_ settings": (
                _is_on(environ.get(f"FLOWER_{name}", ""))
            )
            for name in _OPENS_FLOWER
        },
    }
    weak = [*weak_secrets(settings, _unused_secrets(settings)), *weak_tls(settings)]
    return weak + [message for message, is_so in unfit.items() if is_so]


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
