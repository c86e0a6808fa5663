"""The one way to make a Redis client, and the one place where its errors become the engine's."""

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.commands.core import Script
from redis.retry import Retry

from app.errors import DependencyUnavailable
from app.settings import Settings

# A lost connection is tried twice more within 150 ms: enough for a restart of the connection, not for an outage,
# which the caller hears about while it still can say so. A server that was silent for the timeout is not asked again: all
# who ask it wait for as long.
RETRIES = 2
BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS = 0.05, 0.1
HEALTH_CHECK_SECONDS = 30

# What ends by itself, or when an operator acts: away, slow, still loading, a replica, full.
NOT_NOW = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.BusyLoadingError,
    redis.ReadOnlyError,
    redis.OutOfMemoryError,
)


def connect(settings: Settings) -> redis.Redis:
    """A client of the state's Redis; it connects when first used, and is not to be shared across a fork."""
    return redis.Redis.from_url(
        settings.redis_url,
        socket_timeout=settings.redis_timeout_seconds,
        socket_connect_timeout=settings.redis_timeout_seconds,
        **({} if settings.redis_url.startswith("unix://") else {"socket_keepalive": True}),  # which is of TCP
        health_check_interval=HEALTH_CHECK_SECONDS,
        max_connections=settings.redis_max_connections,
        retry=Retry(ExponentialBackoff(cap=BACKOFF_CAP_SECONDS, base=BACKOFF_BASE_SECONDS), RETRIES, (redis.ConnectionError,)),
        **tls_options(settings, settings.redis_url),
    )


def tls_options(settings: Settings, url: str) -> dict[str, Any]:
    """The driver's options for TLS to a URL that says rediss://; none for another URL.

    The server has to show a certificate for its host's name, from an authority of the file or of the system. What the URL's
    query says comes before these: app/settings.py refuses that in production.
    """
    if not url.startswith("rediss://"):
        return {}
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,  # RFC 8996: those before are broken
        "ssl_ca_certs": settings.redis_ca_file or None,
        "ssl_certfile": settings.redis_cert_file or None,
        "ssl_keyfile": settings.redis_key_file or None,
    }


# The same, of errors that the driver has no class for: disk full, too few replicas, a cluster or a script in the way, and
# (from merge_evidence.lua) a chunk that a crash of the server took back.
NOT_NOW_WORDS = ("MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "OOM", "READONLY", "LOADING", "GONE")


def raise_if_not_now(errors: Iterable[str]) -> None:
    """Raise DependencyUnavailable if one of the errors that a script caught means "not now"."""
    for error in errors:
        if error.startswith(NOT_NOW_WORDS):
            raise DependencyUnavailable("redis") from redis.ResponseError(error)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise DependencyUnavailable in place of the driver's errors that mean "not now"."""
    try:
        yield
    except NOT_NOW as error:
        raise unavailable("redis", error) from error
    except redis.ResponseError as error:
        if str(error).startswith(NOT_NOW_WORDS):
            raise DependencyUnavailable("redis") from error
        raise


def unavailable(dependency: str, error: BaseException) -> DependencyUnavailable:
    """What to raise from a driver's error: it says what is wrong with TLS, if that is what is wrong."""
    reason: BaseException | None = error
    while reason is not None and not isinstance(reason, ssl.SSLError):
        reason = reason.__cause__ or reason.__context__  # the drivers wrap it, in one way or the other
    if reason is None:
        return DependencyUnavailable(dependency)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return DependencyUnavailable(dependency, f"is unavailable: its certificate is refused: {reason.verify_message}")
    return DependencyUnavailable(dependency, f"is unavailable: TLS fails: {reason.reason}")


def load_script(client: redis.Redis, path: Path) -> Script:
    """The Lua script in a file, to be run on the client's server."""
    return client.register_script(path.read_text())


def next_id(entry_id: str) -> str:
    """The smallest id that an entry of a stream after this one may have."""
    milliseconds, _, sequence = entry_id.partition("-")
    return f"{milliseconds}-{int(sequence) + 1}"
