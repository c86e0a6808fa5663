"""Where Celery's broker and results are, in Celery's words."""

from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from app.config.settings import Settings
from app.config.url_settings import url_password
from app.storage.redis_client import tls_options


def broker_settings(settings: Settings) -> dict[str, Any]:
    """Celery's settings that say where the broker and the results are, and how to connect to them."""
    url, tls = celery_url(settings.broker), tls_options(settings, settings.broker)
    return {
        "broker_url": url,
        "result_backend": url,
        "broker_use_ssl": tls,
        "redis_backend_use_ssl": tls,
        "redis_socket_keepalive": not settings.broker.startswith("unix://"),  # which is of TCP: the driver refuses it elsewhere
    }


def celery_url(url: str) -> str:
    """The URL of a Redis as kombu and Celery take it: they have another form for a socket in the file system."""
    if not url.startswith("unix://"):
        return url
    parts = urlsplit(url)
    options, path = parse_qs(parts.query), quote(unquote(parts.path))  # kombu takes a semicolon for the end of a URL
    username, password = options.get("username", [parts.username or ""])[0], url_password(url)
    credentials = f"{quote(username, safe='')}:{quote(password, safe='')}@" if username or password else ""
    return f"redis+socket://{credentials}{path}?virtual_host={options.get('db', ['0'])[0]}"
