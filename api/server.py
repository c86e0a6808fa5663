"""gunicorn's settings: ``gunicorn -c python:api.server``."""

from typing import Any

from app.logs import configure_logging
from app.settings import settings_or_exit

_settings = settings_or_exit()

wsgi_app = "api.application:create_app()"
bind = f"{_settings.http_host}:{_settings.http_port}"
# Threads, since a request mostly waits for Redis, and callers of /mastery/calculate for a task.
worker_class = "gthread"
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


def post_worker_init(_worker: Any) -> None:
    """Log as the other processes do."""
    configure_logging(_settings.log_level)
