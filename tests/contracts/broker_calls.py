"""``python -m tests.contracts.broker_calls``: makes each of the engine's calls to the broker, once for each line of input.

It is a separate process, since Celery keeps state about a broker per process. It prints the outcomes as a JSON object.
"""

import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec
import redis

from api.application import create_app
from app.bootstrap import bootstrap
from app.errors import DependencyUnavailable
from app.events.event_log import LogRecord
from app.health.readiness import CACHED_SECONDS
from tasks.celery import app, enqueue
from tasks.events import queued, record
from tasks.health import ping_broker, ping_worker
from tasks.mastery import calculate
from tasks.queues import EVENTS
from tasks.results import task_state

STUDENT = "s-secret"  # must not be in any log
TASK = "00000000-0000-0000-0000-000000000000"


class NoKafka:
    """An event log that is never called and always healthy: Kafka is not tested here."""

    def append(self, records: Sequence[LogRecord]) -> None:
        raise AssertionError(f"{len(records)} records, where none is appended")

    def ping(self) -> None:
        return


def outcome(call: Callable[[], object]) -> str:
    """The outcome of a call: the message of DependencyUnavailable, "done", or an error that must not be raised."""
    try:
        call()
    except DependencyUnavailable as error:
        return "tells of a student" if STUDENT in "".join(traceback.format_exception(error)) else str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the test sees it
        return f"{type(error).__name__}: {error}"
    return "done"


def outcomes(calls: Mapping[str, Callable[[], object]]) -> dict[str, str]:
    """The outcome of each call."""
    return {name: outcome(call) for name, call in calls.items()}


def told_of_a_result() -> bool:
    """Whether the error for a result that cannot be stored names a student: its message is in logs and in Flower."""
    try:
        cast("Any", app.backend)._set("result", f'{{"student_id": "{STUDENT}"}}')
    except redis.RedisError as error:
        return STUDENT in str(error)
    return False


def main() -> None:
    """Make all calls for each line of input."""
    logging.disable()
    client = create_app(bootstrap(), NoKafka()).test_client()
    calls = {
        "enqueue": lambda: enqueue(record, "chunk"),
        "enqueue for a result": lambda: enqueue(calculate, "t", STUDENT, []),
        "queued": lambda: queued(EVENTS),
        "task_state": lambda: task_state(TASK),
        "ping_broker": ping_broker,
        "ping_worker": ping_worker,
    }
    for _ in sys.stdin:
        time.sleep(CACHED_SECONDS)  # else /ready would tell what it found before
        ready = client.get("/ready")
        told: dict[str, object] = {**outcomes(calls), "a result tells of a student": told_of_a_result()}
        told |= {"/ready": (ready.json or {})["error"]["details"], "status": ready.status_code}
        sys.stdout.write(f"{msgspec.json.encode(told).decode()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
