"""Composes the API's process: ``gunicorn 'api.wsgi:create_app()'``.

The only module of ``api`` that depends on ``consumers``: it passes the event log to the application. See docs/decisions/0013.
"""

import atexit

from flask import Flask

from api import application
from api.request_log import log_in_batches
from app.bootstrap import bootstrap
from app.errors import SettingsError
from consumers.kafka_event_log import KafkaEventLog


def create_app() -> Flask:
    """Create the API with the Redis and Kafka of the settings. Raises SettingsError when they are missing."""
    engine = bootstrap()
    if not engine.settings.kafka_bootstrap:
        raise SettingsError("MASTERY_KAFKA_BOOTSTRAP is not set; `mastery up` starts a stack with an embedded one")
    log_in_batches()
    event_log = KafkaEventLog(engine.settings)
    atexit.register(event_log.close)
    return application.create_app(engine, event_log)
