"""Settings that name a place: what can be wrong with them, and how they are written in a URL. Nothing is connected to."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
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
    address = _address(host.strip("[]"))
    return host.lower().rstrip(".") == "localhost" if address is None else address.is_loopback


def is_host(text: str) -> bool:
    """Whether it is an address, IPv4 or IPv6, or could be a host's name; not with a port, and without brackets."""
    return _address(text) is not None or bool(re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?", text))


def in_url(host: str) -> str:
    """The host as a URL has it: an IPv6 address in brackets (RFC 3986 section 3.2.2), a zone's sign encoded (RFC 6874)."""
    return f"[{host.replace('%', '%25')}]" if ":" in host else host


def host_to_call(host: str) -> str:
    """Where a server is found from this machine that listens on a host: all of its addresses are no place to call."""
    address = _address(host)
    if address is None or not address.is_unspecified:
        return host
    return "::1" if address.version == 6 else "127.0.0.1"


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
