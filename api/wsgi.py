"""The API's process put together: ``gunicorn 'api.wsgi:create_app()'``.

The only part of ``api`` that knows ``consumers``: it gives the application the log that events go to. See docs/decisions/0013.
"""

import atexit

from flask import Flask

from api import application
from api.request_log import log_in_batches
from app.bootstrap import bootstrap
from app.errors import SettingsError
from consumers.event_log import KafkaEventLog


def create_app() -> Flask:
    """The API over Redis and Kafka as the environment names them. Raises SettingsError when it names none."""
    engine = bootstrap()
    if not engine.settings.kafka_bootstrap:
        raise SettingsError("MASTERY_KAFKA_BOOTSTRAP is not set; `mastery up` starts a stack with an embedded one")
    log_in_batches()
    event_log = KafkaEventLog(engine.settings)
    atexit.register(event_log.close)
    return application.create_app(engine, event_log)
