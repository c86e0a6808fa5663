"""Logs go to standard output, one line per entry, in UTC. They contain no personal data, so no student ids.

Messages and exceptions may quote untrusted input. Non-printable characters are escaped and traceback lines are indented, so
that input cannot forge log entries or control a terminal (CWE-117).
"""

import logging
import logging.config
import time
import traceback
from typing import Any

INDENT = "  | "  # of traceback lines, so that none looks like the start of an entry


class LineFormatter(logging.Formatter):
    """Formats an entry as one line of printable characters, followed by the indented lines of its traceback."""

    converter = time.gmtime  # type: ignore[assignment]  # as the standard library documents it

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        return escaped(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        return _indented(super().formatStack(stack_info))


def escaped(text: str) -> str:
    r"""Escape non-printable characters: controls, bidi marks, zero-width, lone surrogates … as ``\n``, ``\x1b``, ``\u2028``."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def frames(error: BaseException) -> str:
    """An error's type and call stack, the latest call last. Omits the message, since it may quote untrusted input."""
    places = (f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__))
    return " > ".join((type(error).__name__, *places))


def _is_not_of_pidbox(record: logging.LogRecord) -> bool:
    """Whether a line of beat is not about the connection by which it answers pings: tasks.connection logs the same outage."""
    return not str(record.msg).startswith("beat pidbox")


def configure_logging(level: str) -> None:
    """Set up logging; called at process start."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": LineFormatter}},
            "filters": {"not_of_pidbox": {"()": lambda: _is_not_of_pidbox}},
            "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "line"}},
            "loggers": {
                # One or two lines per task would bury all other entries; failures are still logged.
                "celery.worker.strategy": {"level": "WARNING"},
                "celery.app.trace": {"level": "WARNING"},
                "celery.beat": {"level": "WARNING", "filters": ["not_of_pidbox"]},
                # It logs lost connections with text that may quote a message; tasks.connection logs them too.
                "celery.worker.consumer.consumer": {"level": "ERROR"},
                # It logs every new connection, even one that does not work.
                "celery.worker.consumer.connection": {"level": "WARNING"},
                # gunicorn sets its own handler and format, and disables propagation.
                "gunicorn.error": {"handlers": [], "propagate": True},
            },
            "root": {"level": level, "handlers": ["stdout"]},
        }
    )


def _indented(text: str) -> str:
    """Escape and indent each line."""
    return "\n".join(INDENT + escaped(line) for line in text.split("\n"))
