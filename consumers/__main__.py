"""Run the bridge: ``python -m consumers``. SIGTERM and SIGINT stop it after the chunk in hand."""

import signal
from functools import partial

from app.bootstrap import bootstrap
from app.logs import configure_logging
from consumers.bridge import Bridge
from consumers.dead_letters import DeadLetterQueue
from consumers.kafka import consumer, producer
from tasks.events import enqueue_chunk


def main() -> None:
    """Bridge events until told to stop."""
    engine = bootstrap()
    settings = engine.settings
    configure_logging(settings.log_level)
    bridge = Bridge(
        connect=partial(consumer, settings),
        topic=settings.events_topic,
        dead_letters=DeadLetterQueue(producer(settings), settings.dlq_topic),
        enqueue_chunk=enqueue_chunk,
        events=engine.events,
        clock=engine.clock,
        chunk_events=settings.chunk_events,
        chunk_wait_seconds=settings.chunk_wait_seconds,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: bridge.stop())
    bridge.run()


if __name__ == "__main__":
    main()
