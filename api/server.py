"""gunicorn's configuration: ``gunicorn -c python:api.server``."""

import resource
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gunicorn.glogging import Logger

from api.connections import Limits
from api.headers import protection
from api.http_worker import HttpWorker
from app.config.settings import refuse_exposed, settings_or_exit
from app.config.url_settings import in_url
from app.errors import SettingsError
from app.logs import configure_logging

_settings = settings_or_exit()

wsgi_app = "api.wsgi:create_app()"
bind = f"{in_url(_settings.http_host)}:{_settings.http_port}"
certfile = _settings.http_cert_file or None  # a renewed one is loaded within a second
keyfile = _settings.http_key_file or None
workers = _settings.http_workers
threads = _settings.http_threads
worker_connections = _settings.http_connections
keepalive = 30  # seconds that an idle connection is kept open: longer than the pause between a page's requests
timeout = 30  # seconds without a heartbeat of the event loop after which a hanging process is replaced
graceful_timeout = 10  # seconds, as for Celery's workers
# Limits of the parser.
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = _settings.http_max_header_bytes
control_socket_disable = True  # unused, and two stacks on one machine would share its path
errorlog = "-"
loglevel = _settings.log_level.lower()
forwarded_allow_ips = ""  # trusted proxies are a setting of the engine
sendfile = False  # the event loop sends the answers

# For the headers that browsers and proxies add to the largest one, the token.
OTHER_HEADERS_BYTES = 16_384
# For a client to receive an answer: the largest, a file of 1.4 MB for /docs, needs 50 KB per second. Of a streamed answer, for
# each 64 KB, so 2 KB per second.
STOP_SECONDS = 30.0
LINGER_SECONDS = 2.0
# Of all connections together: thirty incomplete requests with bodies of 2 MB. Small requests are never rejected.
WAITING_BYTES = 64_000_000


def on_starting(server: Any) -> None:
    """Exit if development secrets would be exposed beyond loopback; gunicorn's options (``-b``) can override the settings.

    Also raise the limit of open files to the system's maximum: connections in a TLS handshake are not limited otherwise.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(ValueError, OSError):  # macOS reports no limit but enforces one
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        for address in server.cfg.address:
            if isinstance(address, tuple):  # others are Unix sockets
                refuse_exposed(_settings, address[0])
    except SettingsError as error:
        sys.exit(str(error))


class OwnWorker(HttpWorker):
    """The worker with the engine's limits and headers."""

    protection = protection(_settings)
    streams = _settings.http_streams
    limits = Limits(
        head_bytes=_settings.http_max_header_bytes + OTHER_HEADERS_BYTES,
        body_bytes=_settings.http_max_body_bytes,
        request_seconds=_settings.http_request_seconds,
        idle_seconds=keepalive,
        answer_seconds=STOP_SECONDS,
        linger_seconds=LINGER_SECONDS,
        waiting_bytes=WAITING_BYTES,
    )


worker_class = OwnWorker


class OwnLog(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's log in the engine's format, without an access log: paths contain personal data."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        configure_logging(_settings.log_level)


logger_class = OwnLog


def ssl_context(_config: Any, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """gunicorn's hook for the TLS context."""
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996 deprecates older versions
    return context
