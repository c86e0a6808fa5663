"""The settings of every process: ``MASTERY_*`` environment variables, read here and nowhere else.

Each has a default that suits development, a type and bounds; a wrong value is refused with the variable's name.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from app.errors import SettingsError
from app.identifiers import Identifier

PREFIX = "MASTERY_"
DEVELOPMENT_SECRET = "development-secret-never-use-in-production"  # noqa: S105 - refused in production below
SECRET_FIELDS = frozenset({"jwt_secret", "flower_password"})
MIN_SECRET_BYTES = 32  # RFC 7518 section 3.2: an HS256 key is at least as long as its hash

Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=3600)]
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=2000)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename=lambda name: PREFIX + name.upper()):
    """What the environment says, validated. Field ``redis_url`` is the variable ``MASTERY_REDIS_URL``, and so on."""

    env: Literal["development", "production"] = "development"
    data_dir: Text = ".mastery"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    # Where things are. Empty: the stack of `mastery up` embeds one, and says where through its data folder.
    redis_url: str = ""
    broker_url: str = ""
    kafka_bootstrap: str = ""
    key_prefix: Identifier = "mastery"

    # Redis state. Two seconds are long for a command that takes microseconds, and short for a caller who waits.
    redis_timeout_seconds: Seconds = 2.0
    redis_max_connections: Annotated[int, Meta(ge=2, le=10_000)] = 64

    # HTTP. One process of 8 threads fills the share of two cores that the other parts leave.
    http_host: Text = "127.0.0.1"
    http_port: Port = 8005
    http_workers: Annotated[int, Meta(ge=1, le=64)] = 1
    http_threads: Annotated[int, Meta(ge=1, le=256)] = 8
    http_max_body_bytes: Annotated[int, Meta(ge=1024, le=100_000_000)] = 2_000_000
    calculate_wait_seconds: Seconds = 5.0  # how long a caller waits for a task before it is handed a 202
    # How long an answer is kept for whoever repeats the request: a client that was away over night finds it. 30 bytes an event.
    idempotency_ttl_seconds: Annotated[int, Meta(ge=60, le=30 * 86400)] = 86_400

    jwt_secret: Text = DEVELOPMENT_SECRET
    token_ttl_seconds: Annotated[int, Meta(ge=60, le=30 * 86400)] = 86_400

    # Domain. The oracle and the privacy notice both say 90 days.
    retention_days: Annotated[int, Meta(ge=14, le=3650)] = 90

    # Kafka bridge. 500 events a task: the task's own cost (1 ms) is then 2 µs an event; larger ones only add latency.
    kafka_group: Text = "mastery-bridge"
    events_topic: Text = "mastery.events"
    dlq_topic: Text = "mastery.dlq"
    chunk_events: Annotated[int, Meta(ge=1, le=10_000)] = 500
    chunk_wait_seconds: Annotated[float, Meta(gt=0, le=10)] = 0.05  # the longest an event waits for its chunk to fill
    results_topic: Text = "mastery.results"
    kafka_session_seconds: Annotated[float, Meta(ge=1, le=300)] = 10.0  # then a dead bridge's partitions are given to others
    # A chunk that nobody has seen to for so long has lost its task. Longer than a retry waits, and than 200 chunks take.
    chunk_overdue_seconds: Seconds = 30.0
    # Chunks accepted and not yet recorded: above the high mark the bridge pauses, until the low one is reached. 200 chunks are
    # 5 MB of Redis and six seconds of work: enough to keep the workers busy, little enough for fresh events to get their turn.
    chunks_high_mark: Annotated[int, Meta(ge=1, le=100_000)] = 200
    chunks_low_mark: Annotated[int, Meta(ge=0, le=100_000)] = 150
    # More than this share of the recent records invalid is a bad deploy, not bad data: the bridge stops. 1: never.
    poison_share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    poison_records: Annotated[int, Meta(ge=1, le=1_000_000)] = 200  # the fewest that are judged
    bridge_metrics_port: Port = 0  # 0: not served, except by `mastery up`, which finds a free one
    bridge_heartbeat_file: str = ""  # touched while the bridge polls; empty: bridge.heartbeat in the data folder

    # The topics that `mastery topics create` makes. Partitions bound how many bridges share the work.
    kafka_partitions: Annotated[int, Meta(ge=1, le=10_000)] = 12
    kafka_replication: Annotated[int, Meta(ge=1, le=15)] = 1  # 3 in production
    events_retention_days: Annotated[int, Meta(ge=1, le=3650)] = 7  # how long Redis may be away, or be restored from a backup
    results_retention_days: Annotated[int, Meta(ge=1, le=3650)] = 7
    dlq_retention_days: Annotated[int, Meta(ge=1, le=3650)] = 30  # how long somebody has to look into what failed

    # One works while the other waits for Redis: 15 % more events on two cores than one alone.
    worker_concurrency: Annotated[int, Meta(ge=1, le=64)] = 2

    flower_host: Text = "127.0.0.1"
    flower_port: Port = 0  # 0: a free one
    flower_user: Text = "mastery"
    flower_password: Text = "mastery"  # noqa: S105 - refused in production below

    @property
    def broker(self) -> str:
        """Celery's broker: its own Redis where one is named, else the state's."""
        return self.broker_url or self.redis_url

    @property
    def data_path(self) -> Path:
        """The data folder, absolute."""
        return Path(self.data_dir).resolve()


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings that the environment (``os.environ`` unless given) names.

    Raises SettingsError for a value of the wrong type or out of bounds, or a development secret in production.
    """
    source = os.environ if environ is None else environ
    try:
        settings = msgspec.convert(dict(source), Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_readable(str(error))) from error
    for name in ("redis_url", "broker_url"):
        _check_redis_url(PREFIX + name.upper(), getattr(settings, name))
    if settings.env == "production":
        _refuse_development_values(settings)
    return settings


def _readable(message: str) -> str:
    reason, _, path = message.partition(" - at `$.")
    return f"{path.rstrip('`')}: {reason}" if path else reason


def _check_redis_url(variable: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = not url or (parts.scheme in {"redis", "rediss", "unix"} and parts.port != 0)
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(f"{variable}: must be redis://host:port/db, rediss:// or unix://")


def _refuse_development_values(settings: Settings) -> None:
    if settings.jwt_secret == DEVELOPMENT_SECRET:
        raise SettingsError("MASTERY_JWT_SECRET: the development secret is refused in production")
    if len(settings.jwt_secret.encode()) < MIN_SECRET_BYTES:
        raise SettingsError(f"MASTERY_JWT_SECRET: needs at least {MIN_SECRET_BYTES} bytes in production")
    if settings.flower_password == "mastery":  # noqa: S105 - compares with the development default
        raise SettingsError("MASTERY_FLOWER_PASSWORD: the development password is refused in production")
    if not (settings.redis_url and settings.kafka_bootstrap):
        raise SettingsError(
            "MASTERY_REDIS_URL and MASTERY_KAFKA_BOOTSTRAP must be set in production: nothing is embedded there"
        )


def unknown_settings(environ: Mapping[str, str]) -> list[str]:
    """Variables that begin like a setting and are none: misspelt, or of another version. They are ignored."""
    known = {field.encode_name for field in msgspec.structs.fields(Settings)}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def redacted(settings: Settings) -> dict[str, str]:
    """Every variable and its value as text, secrets and passwords in URLs replaced by ``***``."""
    return {
        field.encode_name: _redact(field.name, str(getattr(settings, field.name))) for field in msgspec.structs.fields(Settings)
    }


def _redact(name: str, value: str) -> str:
    if name in SECRET_FIELDS:
        return "***"
    scheme, separator, rest = value.partition("://")
    if not separator:
        return value
    rest, query, _ = rest.partition("?")  # which may name a password too
    credentials, at, place = rest.rpartition("@")
    return f"{scheme}://{'***@' if credentials or at else ''}{place}{'?***' if query else ''}"
