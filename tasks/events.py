"""Tasks that record learning events."""

from app.events.chunk import decode_chunk
from app.events.event import decode_event
from app.events.record_events import record_events
from tasks.celery import app, engine, enqueue
from tasks.delivery import MAX_RETRY_SECONDS


@app.task(
    name="events.record",
    ignore_result=True,
    serializer="msgpack",
    compression="zstd",  # an event is 330 bytes, and each passes through Redis and its append-only file several times
    autoretry_for=(Exception,),  # whatever went wrong, the events must not be lost with the message
    max_retries=None,  # and an outage may be of any length
    retry_backoff=True,
    retry_backoff_max=MAX_RETRY_SECONDS,
    retry_jitter=True,
)
def record(chunk: bytes) -> None:
    """Record the events of a chunk."""
    now = engine().clock()
    events = [decode_event(source.value, now) for source in decode_chunk(chunk)]
    record_events(events, store=engine().mastery, now=now)


def enqueue_chunk(chunk: bytes) -> None:
    """Send a chunk to be recorded; it is queued when this returns. Raises DependencyUnavailable if not."""
    enqueue(record, chunk)
