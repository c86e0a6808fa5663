"""The baseline of batches: one Celery task per student in a chord, whose callback collects the results.

``celery --app benchmarks.one_task_per_student worker`` works. ``python -m benchmarks.one_task_per_student`` reads lines from
stdin, each a tenant and students, sends a chord for each, and writes the seconds until the callback's result is read.

Each task runs the engine's own query of a student. Broker, result backend and settings are the engine's, so both acknowledge
late. Settings that would slow down only the baseline are replaced, as in ``one_task_per_event.py``. It writes no audit entries,
checks no rights, and keeps no state that a caller could ask for; the engine's batches do.
"""

import sys
import time
from typing import Any

import msgspec
from celery import Celery, chord
from kombu import Queue
from kombu.transport import TRANSPORT_ALIASES

from app.mastery.query_mastery import query_mastery
from tasks.celery import engine

TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "kombu.transport.redis:Transport"))
NAME = "one-task-per-student"
ANSWER_SECONDS = 300.0
app = Celery(NAME)
app.config_from_object("celeryconfig")
app.conf.update(
    task_queues=[Queue(NAME)],
    task_default_queue=NAME,
    task_routes={},
    beat_schedule={},
    worker_send_task_events=False,
    task_send_sent_event=False,
    worker_prefetch_multiplier=4,
    worker_consumer="celery.worker.consumer:Consumer",
)


class Asked(msgspec.Struct):
    """A chord to send."""

    tenant: str
    students: list[str]


@app.task(name="bench.query_one")
def query_one(tenant: str, student: str) -> Any:
    """A student's mastery, as ``POST /mastery/query`` answers it."""
    return msgspec.to_builtins(query_mastery(tenant, student, stores=engine().mastery, now=engine().clock()))


@app.task(name="bench.collect")
def collect(results: list[Any]) -> list[Any]:
    """All results, in the order of the students."""
    return results


def main() -> None:
    """Send chords until stdin ends."""
    for line in sys.stdin:
        asked = msgspec.json.decode(line, type=Asked)
        began = time.perf_counter()
        sent = chord(query_one.s(asked.tenant, student) for student in asked.students)(collect.s())
        found = sent.get(timeout=ANSWER_SECONDS)
        seconds = time.perf_counter() - began
        if [each["student_id"] for each in found] != asked.students:
            raise AssertionError("the results are not those of the students")
        sent.forget()
        print(seconds, flush=True)


if __name__ == "__main__":
    main()
