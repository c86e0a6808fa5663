"""Logs go to standard output, a line each, in UTC. They carry no personal data: ids of students stay out of messages.

What somebody sent may be quoted in a message or an exception's words. It cannot pretend to be an entry of its own, or do
anything to a terminal: what is not printable is escaped, and all lines of a traceback are indented (CWE-117).
"""

import logging
import logging.config
import time
import traceback
from typing import Any

INDENT = "  | "  # of a traceback's lines, so that none of them looks like the start of an entry


class LineFormatter(logging.Formatter):
    """An entry is one line of printable characters; a traceback follows it line by line, indented."""

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
    r"""The text with each character that is not printable as ``\n``, ``\x1b``, ``\u2028`` …: control characters, line and
    paragraph separators, what turns the direction of writing, what has no width, lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def frames(error: BaseException) -> str:
    """An error's type and where it comes from, the latest call last; not its own words, which may quote what somebody sent."""
    places = (f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__))
    return " > ".join((type(error).__name__, *places))


def configure_logging(level: str) -> None:
    """Set up the process's logging; called at its start."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": LineFormatter}},
            "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "line"}},
            "loggers": {
                # A line or two for each task would bury everything else; failures are still logged.
                "celery.worker.strategy": {"level": "WARNING"},
                "celery.app.trace": {"level": "WARNING"},
                "celery.beat": {"level": "WARNING"},
                # The loss of a connection, in words that may quote a message; tasks.connection says it, too.
                "celery.worker.consumer.consumer": {"level": "ERROR"},
                # That there is a new one, also where it is of no use.
                "celery.worker.consumer.connection": {"level": "WARNING"},
                # gunicorn gives its own a handler and a format, and keeps it from ours.
                "gunicorn.error": {"handlers": [], "propagate": True},
            },
            "root": {"level": level, "handlers": ["stdout"]},
        }
    )


def _indented(text: str) -> str:
    return "\n".join(INDENT + escaped(line) for line in text.split("\n"))
