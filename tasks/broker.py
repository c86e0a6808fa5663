"""Celery's settings for the broker and the result backend."""

from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from app.config.settings import Settings
from app.config.url_settings import url_password
from app.storage.redis_client import tls_options


def broker_settings(settings: Settings) -> dict[str, Any]:
    """Celery's settings with the URLs and connection options of broker and result backend."""
    url, tls = celery_url(settings.broker), tls_options(settings, settings.broker)
    return {
        "broker_url": url,
        "result_backend": url,
        "broker_use_ssl": tls,
        "redis_backend_use_ssl": tls,
        "redis_socket_keepalive": not settings.broker.startswith("unix://"),  # TCP only; redis-py rejects it for sockets
    }


def celery_url(url: str) -> str:
    """Convert a Redis URL for kombu and Celery, which have another format for Unix sockets."""
    if not url.startswith("unix://"):
        return url
    parts = urlsplit(url)
    options, path = parse_qs(parts.query), quote(unquote(parts.path))  # kombu ends a URL at a semicolon
    username, password = options.get("username", [parts.username or ""])[0], url_password(url)
    credentials = f"{quote(username, safe='')}:{quote(password, safe='')}@" if username or password else ""
    return f"redis+socket://{credentials}{path}?virtual_host={options.get('db', ['0'])[0]}"
