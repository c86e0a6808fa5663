"""gunicorn's settings: ``gunicorn -c python:api.server``."""

import os
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http import wsgi
from gunicorn.util import close_graceful
from gunicorn.workers.gthread import TConn, ThreadWorker

from app.errors import SettingsError
from app.logs import configure_logging
from app.settings import refuse_exposed, settings_or_exit

# A client that falls silent in the middle of a request, a handshake or an answer is given up. One that trickles is not: that is
# for the proxy in front.
SILENCE_SECONDS = 5.0

_settings = settings_or_exit()

# Answers do not say what serves them. gunicorn has no setting for it: its answers take their name from here.
wsgi.SERVER = "mastery"

wsgi_app = "api.wsgi:create_app()"
bind = f"{_settings.http_host}:{_settings.http_port}"
certfile = _settings.http_cert_file or None  # read for each connection: a renewed one counts at once
keyfile = _settings.http_key_file or None
workers = _settings.http_workers
threads = _settings.http_threads
keepalive = 30  # seconds a client's idle connection is kept: more than the pause between a page's requests
timeout = 30  # a worker that is silent for so long hangs, and is replaced
graceful_timeout = 10  # as long as the workers of Celery get
# Bounds on what is read before the application sees it.
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = 8190
control_socket_disable = True  # nobody uses it, and two stacks side by side would share its path
errorlog = "-"
loglevel = _settings.log_level.lower()
forwarded_allow_ips = ""  # which proxies are believed is a setting of the engine


def on_starting(server: Any) -> None:
    """Keep development secrets on loopback: gunicorn's own options (``-b``, GUNICORN_CMD_ARGS) come after the settings."""
    try:
        for address in server.cfg.address:
            if isinstance(address, tuple):  # others are sockets in the file system
                refuse_exposed(_settings, address[0])
    except SettingsError as error:
        sys.exit(str(error))


def when_ready(server: Any) -> None:
    """Let no connection hold a thread by silence, for which gunicorn has no limit.

    The listeners' options go on to their connections; for those over TLS there is ``ImpatientSocket``.
    """
    limit = struct.pack("ll", round(SILENCE_SECONDS), 0)  # a timeval: seconds and microseconds
    for listener in server.LISTENERS:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.sock.setsockopt(socket.SOL_SOCKET, option, limit)


class OwnWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's threads, since a request mostly waits for Redis, and callers of /mastery/calculate for a task."""

    def handle(self, conn: TConn) -> Any:
        """Answer a request, and let the client read the answer to its end where it is the connection's last.

        gunicorn waits for that in the one thread that serves all connections: a client that did not close stopped all others
        for two seconds. Here it holds up its own thread, and gunicorn finds a connection that need not be waited for.
        """
        goes_on = super().handle(conn)
        if goes_on is False:
            with suppress(OSError):  # it is closed
                close_graceful(socket.socket(fileno=os.dup(conn.sock.fileno())))
                conn.sock.shutdown(socket.SHUT_RDWR)
        return goes_on


worker_class = OwnWorker


class OwnLog(Logger):  # type: ignore[misc]  # gunicorn has no types
    """What gunicorn says, in our format. Requests are not logged, since paths name persons."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        configure_logging(_settings.log_level)

    def warning(self, msg: str, *arguments: Any, **options: Any) -> None:
        """What it says of requests that are none quotes their path, and so persons: only what is wrong is told."""
        if msg.startswith("Invalid request"):
            msg, arguments = "a request cannot be read: %s", (type(sys.exception()).__name__,)
        super().warning(msg, *arguments, **options)

    def exception(self, msg: str, *arguments: Any, **options: Any) -> None:
        """That a client fell silent is no error of ours."""
        if isinstance(sys.exception(), BlockingIOError | TimeoutError):
            self.info("a client fell silent")
        else:
            super().exception(msg, *arguments, **options)


logger_class = OwnLog


class ImpatientSocket(ssl.SSLSocket):
    """A connection over TLS that gives up a silent client as well: OpenSSL's waiting does not heed the listener's options."""

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(SILENCE_SECONDS)
        super().do_handshake(block)

    def setblocking(self, flag: bool, /) -> None:
        """gunicorn asks for blocking before it reads, and would wait for ever."""
        self.settimeout(SILENCE_SECONDS if flag else 0.0)


def ssl_context(_config: Any, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """What TLS is like, where there is a certificate."""
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996: those before are broken
    context.sslsocket_class = ImpatientSocket
    return context
