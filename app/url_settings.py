"""What can be wrong with settings that name a place; nothing is connected to."""

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, parse_qs, parse_qsl, unquote, urlsplit

import redis
from redis.connection import URL_QUERY_ARGUMENT_PARSERS

# What a URL may say besides; the driver takes any other name for its own, and some of them would break the engine's clients.
_REDIS_OPTIONS = {*URL_QUERY_ARGUMENT_PARSERS, "username", "password", "client_name", "protocol"}
_GRAPHIC = re.compile(r"[!-~]+")  # RFC 3986 section 2: what a URL is written with; others are percent-encoded


def is_redis_url(url: str) -> bool:
    """Whether the driver would take it, and for what it says: of a database that is no number it would choose number 0."""
    try:
        parts = urlsplit(url)
        options = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        is_said_well = (
            parts.port != 0
            and (_is_socket(parts) if parts.scheme == "unix" else bool(re.fullmatch("(/[0-9]{0,5})?", parts.path)))
            and all(name in _REDIS_OPTIONS or name.startswith("ssl_") for name in options)
        )
        redis.ConnectionPool.from_url(url).make_connection()  # refuses values; it connects when used
    except (ValueError, TypeError, redis.RedisError):
        return False
    return is_said_well and bool(_GRAPHIC.fullmatch(url))


def _is_socket(parts: SplitResult) -> bool:
    """Whether a path from the root stands where it belongs: of a host before it the driver would take no notice."""
    return parts.path not in {"", "/"} and not parts.hostname


def url_password(url: str) -> str:
    """The password in a URL of Redis; nothing if there is none, or the URL is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parse_qs(parts.query).get("password", [""])[0] or unquote(parts.password or "")


def is_http_url(url: str) -> bool:
    """Whether it is an http:// or https:// URL with a host, and without a name and password."""
    try:
        parts = urlsplit(url)
        is_place = bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and is_place and bool(_GRAPHIC.fullmatch(url))


def are_brokers(text: str) -> bool:
    """Whether it is a list of addresses, as Kafka's clients take it, and not blank."""
    brokers = [each.strip() for each in text.split(",")]
    return any(brokers) and all(re.fullmatch(r"([A-Za-z_]+://)?[^\s/]+", each) for each in brokers if each)


def broker_hosts(text: str) -> list[str]:
    """The hosts in a list of Kafka's addresses."""
    places = [re.sub("^[A-Za-z_]+://", "", each.strip()) for each in text.split(",") if each.strip()]
    return [re.sub(r":[0-9]*\Z", "", place) if not place.endswith("]") else place for place in places]


def is_loopback(host: str) -> bool:
    """Whether an address is one that no other machine reaches. Names are not looked up: only ``localhost`` is known to be."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
