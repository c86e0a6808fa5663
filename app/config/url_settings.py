"""Checks and formatting of addresses and URLs. Opens no connections."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, parse_qs, parse_qsl, unquote, urlsplit

import redis
from redis.connection import URL_QUERY_ARGUMENT_PARSERS

# The allowed query options. redis-py passes any other option to its classes, and some would break the engine's clients.
_REDIS_OPTIONS = {*URL_QUERY_ARGUMENT_PARSERS, "username", "password", "client_name", "protocol"}
_GRAPHIC = re.compile(r"[!-~]+")  # RFC 3986 section 2: a URL's characters; others are percent-encoded


def is_redis_url(url: str) -> bool:
    """Whether redis-py accepts the URL and uses all of it; it would treat a non-numeric database as number 0."""
    try:
        parts = urlsplit(url)
        options = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        is_well_formed = (
            parts.port != 0
            and (_is_socket(parts) if parts.scheme == "unix" else bool(re.fullmatch("(/[0-9]{0,5})?", parts.path)))
            and all(name in _REDIS_OPTIONS or name.startswith("ssl_") for name in options)
        )
        redis.ConnectionPool.from_url(url).make_connection()  # validates values; does not connect yet
    except (ValueError, TypeError, redis.RedisError):
        return False
    return is_well_formed and bool(_GRAPHIC.fullmatch(url))


def _is_socket(parts: SplitResult) -> bool:
    """Whether the URL has an absolute path and no host, which redis-py would ignore."""
    return parts.path not in {"", "/"} and not parts.hostname


def url_password(url: str) -> str:
    """The password in a Redis URL; empty if there is none or the URL is invalid."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parse_qs(parts.query).get("password", [""])[0] or unquote(parts.password or "")


def is_http_url(url: str) -> bool:
    """Whether it is an http:// or https:// URL with a host and without credentials."""
    try:
        parts = urlsplit(url)
        is_place = bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and is_place and bool(_GRAPHIC.fullmatch(url))


def are_brokers(text: str) -> bool:
    """Whether it is a non-empty list of addresses in the format of ``bootstrap.servers``."""
    brokers = [each.strip() for each in text.split(",")]
    return any(brokers) and all(re.fullmatch(r"([A-Za-z_]+://)?[^\s/]+", each) for each in brokers if each)


def broker_hosts(text: str) -> list[str]:
    """The hosts of a list of Kafka addresses."""
    places = [re.sub("^[A-Za-z_]+://", "", each.strip()) for each in text.split(",") if each.strip()]
    return [re.sub(r":[0-9]*\Z", "", place) if not place.endswith("]") else place for place in places]


def is_loopback(host: str) -> bool:
    """Whether other machines cannot reach the host. Names are not resolved; only ``localhost`` counts as loopback."""
    address = _address(host.strip("[]"))
    return host.lower().rstrip(".") == "localhost" if address is None else address.is_loopback


def is_host(text: str) -> bool:
    """Whether it is an IPv4 or IPv6 address or a valid host name, without port and brackets."""
    return _address(text) is not None or bool(re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?", text))


def in_url(host: str) -> str:
    """The host as written in a URL: IPv6 in brackets (RFC 3986 section 3.2.2), the zone's ``%`` encoded (RFC 6874)."""
    return f"[{host.replace('%', '%25')}]" if ":" in host else host


def host_to_call(host: str) -> str:
    """The host to connect to on this machine for a server listening on ``host``; loopback for 0.0.0.0 and ::."""
    address = _address(host)
    if address is None or not address.is_unspecified:
        return host
    return "::1" if address.version == 6 else "127.0.0.1"


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
