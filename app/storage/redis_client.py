"""The one way to make a Redis client, and the one place where its errors become the engine's."""

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from app.config.settings import Settings
from app.errors import DependencyUnavailable

# A lost connection is tried twice more within 150 ms: enough for a restart of the connection, not for an outage,
# which the caller hears about while it still can say so. A server that was silent for the timeout is not asked again: all
# who ask it wait for as long.
RETRIES = 2
BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS = 0.05, 0.1
HEALTH_CHECK_SECONDS = 30

# An error of Redis is about what it was asked, or about itself: its memory, disk, replicas, role, permissions. The second kind
# is transient, whatever was asked: it ends by itself, or when an operator acts. These are the codes (the first words) of
# its replies that are of the second kind, and what each says of it.
TRANSIENT_CODES = {
    "LOADING": "is loading its data",
    "BUSY": "is busy with a script",
    "OOM": "is full: it has reached its maxmemory",
    "MISCONF": "cannot write to its disk",
    "NOREPLICAS": "takes no writes: too few replicas are connected",
    "READONLY": "takes no writes: it is a replica",
    "MASTERDOWN": "is a replica that has lost its master",
    "CLUSTERDOWN": "is part of a cluster that is down",
    "TRYAGAIN": "is handing keys over to another server",
    "ASK": "is handing keys over to another server",
    "MOVED": "is part of a cluster, and the keys are elsewhere",
    "NOAUTH": "asks for a password",
    "WRONGPASS": "refuses the password",
    "NOPERM": "does not permit the engine all it needs",
    "DENIED": "is in protected mode",
    "GONE": "lost in a crash what was just written",  # from merge_evidence.lua: the chunk will be read again
}
# The same, of errors that have no code of their own, by how they begin.
TRANSIENT_TEXTS = {
    "DB index is out of range": "has no database of that number",
    "ACL failure in script": TRANSIENT_CODES["NOPERM"],
    "The user executing the script can't run this command": TRANSIENT_CODES["NOPERM"],  # the same, of Redis 7.0
}
NO_ANSWER = (redis.ConnectionError, redis.TimeoutError, redis.InvalidResponse)
DISCARDED = "Transaction discarded because of: "  # then follows the error that kept it from being carried out


class TranslatingPipeline(redis.client.Pipeline):
    """A pipeline that raises DependencyUnavailable in place of the driver's transient errors."""

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Execute the commands; where errors are returned instead of raised, ``raise_if_transient`` tells them apart."""
        with translated_errors():
            return super().execute(raise_on_error)


class TranslatingRedis(redis.Redis):
    """A client that raises DependencyUnavailable in place of the driver's transient errors: of commands, scripts and locks."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and return its reply."""
        with translated_errors():
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # the driver has none

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> TranslatingPipeline:
        """A pipeline on the same connections."""
        return TranslatingPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def connect(settings: Settings) -> redis.Redis:
    """A client of the state's Redis; it connects when first used, and is not to be shared across a fork."""
    return TranslatingRedis.from_url(
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
    query says comes before these: app/config/settings.py refuses that in production.
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


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise DependencyUnavailable in place of the driver's transient errors."""
    try:
        yield
    except redis.RedisError as error:
        meaning = transient_error(error)
        if meaning is None:
            raise
        raise meaning from error


def raise_if_transient(errors: Iterable[object]) -> None:
    """Raise DependencyUnavailable if one is transient: of the texts that a script caught, or of a pipeline's replies."""
    for each in errors:
        error = redis.ResponseError(each) if isinstance(each, str) else each
        if isinstance(error, redis.RedisError) and (meaning := transient_error(error)) is not None:
            raise meaning from error


def transient_error(error: redis.RedisError, dependency: str = "redis") -> DependencyUnavailable | None:
    """What to raise in place of an error that is about the server; None for one that is about what it was asked."""
    state = _state(error)
    if state is not None:
        return DependencyUnavailable(dependency, state)
    return unavailable(dependency, error) if isinstance(error, NO_ANSWER) else None


def _state(error: redis.RedisError) -> str | None:
    """What a reply says of the server, if it does: by its code, which the driver cuts off where it has a class for it."""
    code, text = error.status_code, str(error)
    if code is None or code == "EXECABORT":
        code, _, text = text.removeprefix(DISCARDED).partition(" ")
    if code == "ERR":
        return next((state for begin, state in TRANSIENT_TEXTS.items() if text.startswith(begin)), None)
    return TRANSIENT_CODES.get(code)


def _as_the_server_said(_pipeline: redis.client.Pipeline, _error: Exception, _number: int, _command: object) -> None:
    """Change nothing about the error of a command in a pipeline.

    The driver would put the command before it, with its arguments: personal data, which would reach logs, results of tasks and
    Flower. Celery and kombu make pipelines of their own, so it is the driver's class that is told not to.
    """


redis.client.Pipeline.annotate_exception = _as_the_server_said  # type: ignore[method-assign]


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


def next_id(entry_id: str) -> str:
    """The smallest id that an entry of a stream after this one may have."""
    milliseconds, _, sequence = entry_id.partition("-")
    return f"{milliseconds}-{int(sequence) + 1}"
