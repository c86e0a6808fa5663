"""Flower's settings: ``celery --app tasks.celery flower --conf=flowerconfig.py``.

Its pages require the password. ``/metrics`` (counts by worker and task) and ``/healthcheck`` do not, for scrapers.
"""

import hmac
from base64 import b64decode
from logging import LogRecord, getLogger
from sys import exit as sys_exit  # renamed, since Flower reads each name here that equals one of its options
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

# Routes that return task results or call tasks are removed: operators of workers must not see students' data or act as the API.
# Flower's pages, which control workers, do not use them.
_CLOSED = ("/api/task/apply/", "/api/task/async-apply/", "/api/task/send-task/", "/api/task/result/")
handlers[:] = [each for each in handlers if not (isinstance(each, tuple) and each[0].startswith(_CLOSED))]


class SocketWithDatabase(broker.RedisSocket):  # type: ignore[misc]  # Flower has no types
    """A broker at a Unix socket. Flower ignores the URL's database and user, and would count another database's queues."""

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
    """Check a request's user name and password (RFC 7617, in UTF-8).

    Replaces Flower's check, which fails for non-ASCII credentials.

    Returns:
        True.

    Raises:
        HTTPError: 401 for missing or wrong credentials.
    """
    scheme, _, credentials = handler.request.headers.get("Authorization", "").partition(" ")
    try:
        given = b64decode(credentials.strip(), validate=True)
    except ValueError:  # not Base64
        given = b""
    if scheme.lower() != "basic" or not hmac.compare_digest(given, basic_auth[0].encode()):
        raise HTTPError(401)
    return True


BaseHandler.get_current_user = authenticated


def _is_no_outage(record: LogRecord) -> bool:
    """Whether a record does not report an outage of the broker; tasks.connection logs outages once."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    return not any(isinstance(each, OperationalError | redis.RedisError | OSError) for each in arguments)


for _name in ("flower.events", "flower.inspector"):
    getLogger(_name).addFilter(_is_no_outage)
