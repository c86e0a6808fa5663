"""Flower's settings: ``celery --app tasks.celery flower --conf=flowerconfig.py``.

Its pages ask for the password. ``/metrics`` (counts by worker and task) and ``/healthcheck`` answer
without it: scrapers have none.
"""

import hmac
from base64 import b64decode
from logging import LogRecord, getLogger
from sys import exit as sys_exit  # Flower takes each name here that is one of its options for that
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from flower.urls import handlers
from flower.utils import broker
from flower.views import BaseHandler
from kombu.exceptions import OperationalError
from tornado.web import HTTPError

from app.config.settings import settings_or_exit

_settings = settings_or_exit()

if not _settings.broker:
    sys_exit("MASTERY_REDIS_URL is not set; `mastery up` starts a stack with an embedded one")
basic_auth = [f"{_settings.flower_user}:{_settings.flower_password}"]
address = _settings.flower_host
port = _settings.flower_port

# Whoever operates workers need not see what is known of students, nor act in the name of the API: results and calls of tasks
# are not served. Flower's pages do not use them; they stop, limit and scale.
_CLOSED = ("/api/task/apply/", "/api/task/async-apply/", "/api/task/send-task/", "/api/task/result/")
handlers[:] = [each for each in handlers if not (isinstance(each, tuple) and each[0].startswith(_CLOSED))]


class SocketWithDatabase(broker.RedisSocket):  # type: ignore[misc]  # Flower has no types
    """A broker behind a socket in the file system: Flower forgets its database and user, and would count another's queues."""

    def __init__(self, broker_url: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(broker_url, *args, **kwargs)
        parts = urlsplit(broker_url)
        (database,) = parse_qs(parts.query)["virtual_host"]
        self.redis.connection_pool.connection_kwargs |= {
            "path": unquote(parts.path),
            "db": int(database),
            "username": self.username,
        }


broker.RedisSocket = SocketWithDatabase


def authenticated(handler: Any) -> bool:
    """True for a request with the name and password (RFC 7617, in UTF-8). Raises HTTPError 401 for any other.

    Flower compares them as text, which Python does for ASCII only: others were a traceback, and a password with an umlaut let
    nobody in.
    """
    scheme, _, credentials = handler.request.headers.get("Authorization", "").partition(" ")
    try:
        given = b64decode(credentials.strip(), validate=True)
    except ValueError:  # no Base64
        given = b""
    if scheme.lower() != "basic" or not hmac.compare_digest(given, basic_auth[0].encode()):
        raise HTTPError(401)
    return True


BaseHandler.get_current_user = authenticated


def _is_no_outage(record: LogRecord) -> bool:
    """Whether it is about something else than that the broker is away: that is said once, by tasks.connection."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    return not any(isinstance(each, OperationalError | redis.RedisError | OSError) for each in arguments)


for _name in ("flower.events", "flower.inspector"):
    getLogger(_name).addFilter(_is_no_outage)
