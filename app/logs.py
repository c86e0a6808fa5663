"""Logs go to standard output, a line each, in UTC. They carry no personal data: ids of students stay out of messages."""

import logging
import logging.config
import time
import traceback


def frames(error: BaseException) -> str:
    """Where an error comes from, for a log; not its own words, which may quote what somebody sent."""
    return type(error).__name__ + "\n" + "".join(traceback.format_tb(error.__traceback__))


def configure_logging(level: str) -> None:
    """Set up the process's logging; called once, at its start."""
    logging.Formatter.converter = time.gmtime
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "format": "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s",
                    "datefmt": "%Y-%m-%dT%H:%M:%S",
                }
            },
            "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "line"}},
            # A line or two for each task would bury everything else; failures are still logged.
            "loggers": {
                "celery.worker.strategy": {"level": "WARNING"},
                "celery.app.trace": {"level": "WARNING"},
                "celery.beat": {"level": "WARNING"},
            },
            "root": {"level": level, "handlers": ["stdout"]},
        }
    )
