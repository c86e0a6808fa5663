"""Pings of the dependencies of tasks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.errors import DependencyUnavailable
from app.health.sweep_heartbeat import SILENT_SECONDS, Sweeps
from tasks.broker_errors import translated_broker_errors
from tasks.celery import app
from tasks.events import queued
from tasks.queues import MAINTENANCE

PING_SECONDS = 1  # a worker answers within milliseconds, since its main process is free while tasks run
NODE_SECONDS = 5.0  # for one certain process, which a probe restarts if there is no answer: busy cores must not look like that
# Shorter timeouts than those of tasks, so that a health check does not wait for a silent broker.
_SOCKETS = {"socket_timeout": PING_SECONDS, "socket_connect_timeout": PING_SECONDS}


def ping_broker() -> None:
    """Raise DependencyUnavailable unless the broker accepts a connection and a write; a full one still answers reads."""
    with translated_broker_errors(), _connection() as connection:
        connection.default_channel.client.set("ready", b"", px=1000)


def ping_worker() -> None:
    """Raise DependencyUnavailable unless a worker answers."""
    ping_broker()  # the ping of a worker needs the broker
    with translated_broker_errors("worker"), _connection() as connection:
        # Not "ping", which beat answers too.
        answers = app.control.broadcast("clock", reply=True, timeout=PING_SECONDS, limit=1, connection=connection)
    if not answers:
        raise DependencyUnavailable("worker", "does not answer")


def ping_node(name: str) -> None:
    """Raise DependencyUnavailable unless this worker or beat answers; beat does only while it ticks."""
    ping_broker()
    with translated_broker_errors(name), _connection() as connection:
        answers = app.control.ping(destination=[name], timeout=NODE_SECONDS, limit=1, connection=connection)
    if not answers:
        raise DependencyUnavailable(name, f"does not answer within {NODE_SECONDS:g} s")


def ping_beat(sweeps: Sweeps) -> None:
    """Check that the sweeps which beat sends are done.

    Raises:
        DependencyUnavailable: There was no recent sweep. The state blames beat only if broker and workers are available.
    """
    try:
        if sweeps.go_on():
            return
        ping_worker()
        waiting = queued(MAINTENANCE)
    except DependencyUnavailable as error:
        raise DependencyUnavailable("beat", f"is unknown: {error}") from error
    if waiting:
        raise DependencyUnavailable("beat", f"is running, but the workers are behind: {waiting} of its tasks wait")
    raise DependencyUnavailable("beat", f"has sent no sweep for lost tasks for {SILENT_SECONDS} s")


@contextmanager
def _connection() -> Iterator[Any]:
    """A new connection: one of Celery's pool may still wait for a reply of a broker that was restarted."""
    with app.connection_for_write(transport_options=_SOCKETS) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=PING_SECONDS)
        yield connection
