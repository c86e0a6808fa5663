"""gunicorn's settings: ``gunicorn -c python:api.server``."""

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
certfile = _settings.http_cert_file or None  # a renewed one counts within a second
keyfile = _settings.http_key_file or None
workers = _settings.http_workers
threads = _settings.http_threads
worker_connections = _settings.http_connections
keepalive = 30  # seconds a client's idle connection is kept: more than the pause between a page's requests
timeout = 30  # a process whose event loop is silent for so long hangs, and is replaced
graceful_timeout = 10  # as long as the workers of Celery get
# Bounds on what is read before the application sees it.
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = _settings.http_max_header_bytes
control_socket_disable = True  # nobody uses it, and two stacks side by side would share its path
errorlog = "-"
loglevel = _settings.log_level.lower()
forwarded_allow_ips = ""  # which proxies are believed is a setting of the engine
sendfile = False  # answers go through the event loop

# Besides one header that is as large as it may be, a token's, there is room for those that browsers and proxies add.
OTHER_HEADERS_BYTES = 16_384
# For a client to take an answer: the largest, a file of 1.4 MB for /docs, arrives in time at 50 KB a second.
STOP_SECONDS = 30.0
LINGER_SECONDS = 2.0
# Of all connections together: thirty requests that wait for the rest of a body of 2 MB. Small ones are not refused.
WAITING_BYTES = 64_000_000


def on_starting(server: Any) -> None:
    """Keep development secrets on loopback: gunicorn's own options (``-b``, GUNICORN_CMD_ARGS) come after the settings.

    As many files may be open as the system grants: connections whose TLS handshake is not done come on top of those counted.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(ValueError, OSError):  # macOS has no limit here and another one elsewhere
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        for address in server.cfg.address:
            if isinstance(address, tuple):  # others are sockets in the file system
                refuse_exposed(_settings, address[0])
    except SettingsError as error:
        sys.exit(str(error))


class OwnWorker(HttpWorker):
    """With the engine's limits and headers."""

    protection = protection(_settings)
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
    """What gunicorn says, in our format. Requests are not logged, since paths name persons."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        configure_logging(_settings.log_level)


logger_class = OwnLog


def ssl_context(_config: Any, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """What TLS is like, where there is a certificate."""
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996: those before are broken
    return context
