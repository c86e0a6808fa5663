"""The baseline of the event pipeline: the naive design, one Celery task per event. The rest is the engine's code.

``python -m benchmarks.one_task_per_event`` consumes; ``celery --app benchmarks.one_task_per_event worker`` works. Both use the
engine's settings of Kafka and Celery, so both pipelines give the same guarantees (late acknowledgement, offsets committed after
the tasks are queued). Settings that would slow down only the baseline are replaced: it sends no task events for Flower, and
uses Celery's default prefetch and the classes of Celery and kombu, which do not validate messages.
"""

import signal
from threading import Event as Flag

from celery import Celery
from confluent_kafka import TopicPartition
from kombu import Queue
from kombu.transport import TRANSPORT_ALIASES

from app.config.settings import load_settings
from app.events.event import decode_event
from app.events.record_events import record_events
from consumers.kafka.clients import consumer
from tasks.celery import engine

TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "kombu.transport.redis:Transport"))
app = Celery("one-task-per-event")
app.config_from_object("celeryconfig")
app.conf.update(
    task_queues=[Queue("one-task-per-event")],
    task_default_queue="one-task-per-event",
    task_routes={},
    accept_content=["json", "msgpack"],
    beat_schedule={},
    worker_send_task_events=False,
    task_send_sent_event=False,
    worker_prefetch_multiplier=4,
    worker_consumer="celery.worker.consumer:Consumer",
)


@app.task(name="bench.record_one", ignore_result=True)
def record_one(value: bytes) -> None:
    """Record one event, as the engine's task records a chunk of 500."""
    now = engine().clock()
    record_events([decode_event(value, now)], stores=engine().mastery, now=now)


def main() -> None:
    """Consume until SIGTERM or SIGINT."""
    settings = load_settings()
    stopped = Flag()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    source = consumer(settings)
    source.subscribe([settings.events_topic])
    while not stopped.is_set():
        next_offsets: dict[tuple[str, int], int] = {}
        for message in source.consume(settings.chunk_events, settings.chunk_wait_seconds):
            topic, partition, offset, value = message.topic(), message.partition(), message.offset(), message.value()
            if message.error() is None and topic is not None and partition is not None and offset is not None:
                record_one.apply_async(args=(value,), serializer="msgpack")
                next_offsets[topic, partition] = offset + 1
        if next_offsets:
            offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in next_offsets.items()]
            source.commit(offsets=offsets, asynchronous=False)
    source.close()


if __name__ == "__main__":
    main()
