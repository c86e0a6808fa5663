"""Pings of what tasks depend on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.errors import DependencyUnavailable
from app.health.sweeps import SILENT_SECONDS, Sweeps
from tasks.broker_errors import translated_broker_errors
from tasks.celery import app
from tasks.delivery import MAINTENANCE
from tasks.events import queued

PING_SECONDS = 1  # a worker answers within milliseconds, its main process being free while tasks run
# Shorter than those of tasks: whoever asks whether a broker answers does not wait for one that is silent.
_SOCKETS = {"socket_timeout": PING_SECONDS, "socket_connect_timeout": PING_SECONDS}


def ping_broker() -> None:
    """Raise DependencyUnavailable unless the broker accepts a connection, and a write: one that is full answers all else."""
    with translated_broker_errors(), _connection() as connection:
        connection.default_channel.client.set("ready", b"", px=1000)


def ping_worker() -> None:
    """Raise DependencyUnavailable unless a worker answers."""
    ping_broker()  # through which it is asked
    with translated_broker_errors("worker"), _connection() as connection:
        answers = app.control.ping(timeout=PING_SECONDS, limit=1, connection=connection)
    if not answers:
        raise DependencyUnavailable("worker", "does not answer")


def ping_beat(sweeps: Sweeps) -> None:
    """Raise DependencyUnavailable unless what beat sends again and again is done: lost chunks are looked for.

    Beat is blamed only where what is between it and the sign of it works.
    """
    try:
        if sweeps.go_on():
            return
        ping_worker()
        waiting = queued(MAINTENANCE)
    except DependencyUnavailable as error:
        raise DependencyUnavailable("beat", f"is unknown: {error}") from error
    if waiting:
        raise DependencyUnavailable("beat", f"is heard, and the workers are behind: {waiting} of its tasks wait")
    raise DependencyUnavailable("beat", f"has sent no sweep for lost tasks for {SILENT_SECONDS} s")


@contextmanager
def _connection() -> Iterator[Any]:
    """A connection of its own: in Celery's pool one may still wait for an answer from a broker that was restarted since."""
    with app.connection_for_write(transport_options=_SOCKETS) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=PING_SECONDS)
        yield connection
