"""Creates Redis clients and translates their errors to the engine's. No other module does either."""

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from app.config.settings import Settings
from app.errors import DependencyUnavailable

# Two retries within 150 ms bridge a lost connection, not an outage: the caller gets the error in time to report it. A timeout
# is not retried, since each retry would block the caller for the whole timeout again.
RETRIES = 2
BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS = 0.05, 0.1
HEALTH_CHECK_SECONDS = 30

# Redis rejects a command because of the command, or because of its own state: memory, disk, replicas, role, permissions. The
# second kind is transient for any command: it ends by itself, or when an operator acts. These are the error codes (first words
# of a reply) of the second kind, with the state that each stands for.
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
# The same for errors with the generic code ERR, by the beginning of their text.
TRANSIENT_TEXTS = {
    "DB index is out of range": "has no database of that number",
    "ACL failure in script": TRANSIENT_CODES["NOPERM"],
    "The user executing the script can't run this command": TRANSIENT_CODES["NOPERM"],  # Redis 7.0
}
NO_ANSWER = (redis.ConnectionError, redis.TimeoutError, redis.InvalidResponse)
DISCARDED = "Transaction discarded because of: "  # followed by the error of the rejected command


class TranslatingPipeline(redis.client.Pipeline):
    """A pipeline that raises DependencyUnavailable instead of the driver's transient errors."""

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Execute the commands. If errors are returned instead of raised, check them with ``raise_if_transient``."""
        with translated_errors():
            return super().execute(raise_on_error)


class TranslatingRedis(redis.Redis):
    """A client that raises DependencyUnavailable instead of transient driver errors, for commands, scripts and locks."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and return its reply."""
        with translated_errors():
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # the driver has none

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> TranslatingPipeline:
        """A pipeline on the same connections."""
        return TranslatingPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def connect(settings: Settings) -> redis.Redis:
    """A client of the state's Redis. It connects on first use and must not be shared across a fork."""
    return TranslatingRedis.from_url(
        settings.redis_url,
        socket_timeout=settings.redis_timeout_seconds,
        socket_connect_timeout=settings.redis_timeout_seconds,
        **({} if settings.redis_url.startswith("unix://") else {"socket_keepalive": True}),  # TCP only
        health_check_interval=HEALTH_CHECK_SECONDS,
        max_connections=settings.redis_max_connections,
        retry=Retry(ExponentialBackoff(cap=BACKOFF_CAP_SECONDS, base=BACKOFF_BASE_SECONDS), RETRIES, (redis.ConnectionError,)),
        **tls_options(settings, settings.redis_url),
    )


def tls_options(settings: Settings, url: str) -> dict[str, Any]:
    """redis-py's TLS options for a rediss:// URL.

    The server needs a certificate for its host name from a CA of the file or the system. Options in the URL's query override
    these; app/config/tls_settings.py rejects them in production.

    Returns:
        Keyword arguments for ``redis.Redis``; empty for other URLs.
    """
    if not url.startswith("rediss://"):
        return {}
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,  # RFC 8996 deprecates older versions
        "ssl_ca_certs": settings.redis_ca_file or None,
        "ssl_certfile": settings.redis_cert_file or None,
        "ssl_keyfile": settings.redis_key_file or None,
    }


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise DependencyUnavailable instead of the driver's transient errors."""
    try:
        yield
    except redis.RedisError as error:
        meaning = transient_error(error)
        if meaning is None:
            raise
        raise meaning from error


def raise_if_transient(errors: Iterable[object]) -> None:
    """Raise DependencyUnavailable if one is transient. Takes error texts caught by a script, or a pipeline's replies."""
    for each in errors:
        error = redis.ResponseError(each) if isinstance(each, str) else each
        if isinstance(error, redis.RedisError) and (meaning := transient_error(error)) is not None:
            raise meaning from error


def transient_error(error: redis.RedisError, dependency: str = "redis") -> DependencyUnavailable | None:
    """The exception for an error caused by the server's state; None for an error caused by the command."""
    state = _state(error)
    if state is not None:
        return DependencyUnavailable(dependency, state)
    return unavailable(dependency, error) if isinstance(error, NO_ANSWER) else None


def _state(error: redis.RedisError) -> str | None:
    """The server state that an error reply's code stands for; None if it stands for none."""
    code, text = error.status_code, str(error)
    if code is None or code == "EXECABORT":  # the driver removes the code from the text only for errors it has a class for
        code, _, text = text.removeprefix(DISCARDED).partition(" ")
    if code == "ERR":
        return next((state for begin, state in TRANSIENT_TEXTS.items() if text.startswith(begin)), None)
    return TRANSIENT_CODES.get(code)


def _as_the_server_said(_pipeline: redis.client.Pipeline, _error: Exception, _number: int, _command: object) -> None:
    """Leave the error of a pipeline's command unchanged.

    redis-py would add the command with its arguments: personal data, which would reach logs, task results and Flower. Celery
    and kombu create their own pipelines, so the driver's class is patched.
    """


redis.client.Pipeline.annotate_exception = _as_the_server_said  # type: ignore[method-assign]


def unavailable(dependency: str, error: BaseException) -> DependencyUnavailable:
    """The exception for a driver's error; it includes the reason of a TLS failure."""
    reason: BaseException | None = error
    while reason is not None and not isinstance(reason, ssl.SSLError):
        reason = reason.__cause__ or reason.__context__  # drivers wrap it either way
    if reason is None:
        return DependencyUnavailable(dependency)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return DependencyUnavailable(dependency, f"is unavailable: its certificate is refused: {reason.verify_message}")
    return DependencyUnavailable(dependency, f"is unavailable: TLS fails: {reason.reason}")


def next_id(entry_id: str) -> str:
    """The smallest stream id after this one."""
    milliseconds, _, sequence = entry_id.partition("-")
    return f"{milliseconds}-{int(sequence) + 1}"
