"""Pings of what tasks depend on."""

import redis
from kombu.exceptions import OperationalError

from app.errors import DependencyUnavailable
from app.redis_client import unavailable
from tasks.celery import app

ANSWER_SECONDS = 1  # a worker answers within milliseconds, its main process being free while tasks run
# Shorter than those of tasks: whoever asks whether a broker answers does not wait for one that is silent.
_SOCKETS = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}


def ping_broker() -> None:
    """Raise DependencyUnavailable unless the broker accepts a connection."""
    try:
        with app.connection_for_write(transport_options=_SOCKETS) as connection:
            connection.ensure_connection(max_retries=1, timeout=ANSWER_SECONDS)
    except OperationalError as error:
        raise unavailable("broker", error) from error


def ping_worker() -> None:
    """Raise DependencyUnavailable unless a worker answers."""
    ping_broker()  # through which it is asked
    try:
        answers = app.control.ping(timeout=ANSWER_SECONDS, limit=1)
    except (
        OperationalError,
        redis.ConnectionError,
        redis.TimeoutError,
    ) as error:  # the answers' queue lets the driver's through
        raise unavailable("worker", error) from error
    if not answers:
        raise DependencyUnavailable("worker", "does not answer")
