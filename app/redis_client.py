"""The one way to make a Redis client, and the one place where its errors become the engine's."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.commands.core import Script
from redis.retry import Retry

from app.errors import DependencyUnavailable
from app.settings import Settings

# A lost connection is tried twice more within 150 ms: enough for a restart of the connection, not for an outage,
# which the caller hears about while it still can say so.
RETRIES = 2
BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS = 0.05, 0.1
HEALTH_CHECK_SECONDS = 30
# How long, of the socket's timeout, a disk may take to confirm a write before the caller is asked to come back; the rest is
# for the journey. The append-only file is written out once a second, and the timeout is two unless set otherwise.
CONFIRM_SHARE = 0.75
_log = logging.getLogger(__name__)

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
        socket_keepalive=True,
        health_check_interval=HEALTH_CHECK_SECONDS,
        max_connections=settings.redis_max_connections,
        retry=Retry(ExponentialBackoff(cap=BACKOFF_CAP_SECONDS, base=BACKOFF_BASE_SECONDS), RETRIES),
    )


# The same, of errors that the driver has no class for: disk full, too few replicas, a cluster or a script in the way.
NOT_NOW_WORDS = ("MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY")


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise DependencyUnavailable in place of the driver's errors that mean "not now"."""
    try:
        yield
    except NOT_NOW as error:
        raise DependencyUnavailable("redis") from error
    except redis.ResponseError as error:
        if str(error).startswith(NOT_NOW_WORDS):
            raise DependencyUnavailable("redis") from error
        raise


def load_script(client: redis.Redis, path: Path) -> Script:
    """The Lua script in a file, to be run on the client's server."""
    return client.register_script(path.read_text())


def next_id(entry_id: str) -> str:
    """The smallest id that an entry of a stream after this one may have."""
    milliseconds, _, sequence = entry_id.partition("-")
    return f"{milliseconds}-{int(sequence) + 1}"


def confirmed(client: redis.Redis, barrier: str, read: Callable[[redis.client.Pipeline], Any]) -> list[Any] | None:
    """What the commands that ``read`` queues reply, once everything they saw is in the append-only file on the server's disk.

    None when the disk did not confirm in time. The ``barrier`` is a key to be written to: WAITAOF waits for the writes of its
    own connection, and this one comes after all that was read. A server that cannot confirm (Redis before 7.2, or no
    append-only file) is taken at its word, and the log says so once.
    """
    pipeline = client.pipeline(transaction=False)
    read(pipeline)
    pipeline.set(barrier, "")
    patience = client.get_connection_kwargs()["socket_timeout"] * CONFIRM_SHARE
    pipeline.waitaof(1, 0, round(patience * 1000))
    *replies, _written, confirmation = pipeline.execute(raise_on_error=False)
    for reply in (*replies, _written):
        if isinstance(reply, Exception):
            raise reply
    if isinstance(confirmation, redis.ResponseError):
        _log_unconfirmed(str(confirmation))
        return replies
    return replies if confirmation[0] else None


@cache
def _log_unconfirmed(reason: str) -> None:
    _log.warning("Redis does not confirm that writes are on its disk, so a crash of its machine may lose some: %s", reason)
