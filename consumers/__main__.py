"""Run the bridge: ``python -m consumers``. SIGTERM and SIGINT stop it after the current chunk."""

import logging
import signal
import sys
import threading
from functools import partial
from threading import Thread

from app.bootstrap import bootstrap
from app.errors import SettingsError
from app.garbage_collection import collect_rarely
from app.logs import configure_logging
from consumers.bridge.loop import Bridge
from consumers.kafka.clients import consumer, producer
from consumers.metrics import serve_metrics
from consumers.relay import DELIVERY_SECONDS, Relay
from tasks.events import enqueue_chunks

_log = logging.getLogger(__name__)


def main() -> int:
    """Run the bridge and the relay until SIGTERM or SIGINT. Returns the exit code."""
    try:
        engine = bootstrap()
    except SettingsError as error:
        sys.exit(str(error))
    settings = engine.settings
    configure_logging(settings.log_level)
    collect_rarely()
    if settings.bridge_metrics_port:
        serve_metrics(engine, settings.bridge_metrics_port)
    out = producer(settings, delivery_seconds=DELIVERY_SECONDS)
    relay = Relay(engine, out)
    bridge = Bridge(connect=partial(consumer, settings), engine=engine, enqueue=enqueue_chunks)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: bridge.stop())
    failures: list[threading.ExceptHookArgs] = []

    def failed(failure: threading.ExceptHookArgs) -> None:
        """Stop the process when a thread fails: one without the other is useless. The supervisor restarts the process."""
        _log.critical("a thread of the bridge failed", exc_info=failure.exc_value)
        failures.append(failure)
        bridge.stop()

    threading.excepthook = failed
    # A daemon thread: it must not keep the process alive if the bridge raises.
    relaying = Thread(target=relay.run, daemon=True)
    relaying.start()
    bridge.run()
    relay.stop()
    relaying.join()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
