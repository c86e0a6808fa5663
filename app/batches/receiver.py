"""Which receivers of callbacks are allowed: the form of their URL, and their addresses. Pure.

A caller chooses the URL, and the engine connects from inside its network. So nothing there may be reachable by it (CWE-918).
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from app.config.batch_settings import Network
from app.config.url_settings import is_host

MAX_URL = 2000  # characters
URL_RULE = f"must be an https:// URL of at most {MAX_URL:,} characters, without user name, password and fragment"
HTTPS_PORT = 443

_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")  # RFC 3986 section 2, without the # of a fragment
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # RFC 4291 section 2.4; the only IPv6 addresses of the Internet so far
# IPv6 addresses that mean an IPv4 address: mapped (RFC 4291 section 2.5.5.2), and of a gateway (NAT64, RFC 6052 section 2.1).
_MEANS_IPV4 = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
# Further networks without public hosts. Later Pythons know those that are in IANA's registries of special-purpose addresses.
_NOT_PUBLIC: Sequence[Network] = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments, RFC 6890; a cloud has its metadata at 192.0.0.192
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv4Network("168.63.129.16/32"),  # public by its number, but each virtual machine in Azure has its own, with its settings
    IPv6Network("2002::/16"),  # 6to4 (RFC 3056): tunnels to any IPv4 address, no longer needed (RFC 7526)
    IPv6Network("2001::/23"),  # protocol assignments, such as Teredo's tunnels (RFC 4380)
    IPv6Network("3fff::/20"),  # documentation, RFC 9637
)


class Place(NamedTuple):
    """Where a callback goes: a host's name or address, its port, and the path with the query."""

    host: str
    port: int
    path: str


def place(url: str) -> Place | None:
    """The parts of a callback's URL; None if it is not as ``URL_RULE`` says."""
    if len(url) > MAX_URL or not _CHARACTERS.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    is_in_brackets = parts.netloc.startswith("[")  # as IPv6 addresses are, and no others
    if parts.scheme != "https" or "@" in parts.netloc or "%" in parts.netloc or port == 0:
        return None
    if not is_host(host) or is_in_brackets != (":" in host):
        return None
    return Place(host, port or HTTPS_PORT, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def is_refused(address: str, private_networks: Sequence[Network]) -> bool:
    """Whether an address may not be connected to: not public, and in none of the networks that the settings allow."""
    try:
        found = ip_address(address)
    except ValueError:  # a link-local address with an interface that does not exist, or no address at all
        return True
    meant = _meant(found)
    return not (_is_public(meant) or any(each in network for network in private_networks for each in (found, meant)))


def is_refused_host(host: str, private_networks: Sequence[Network]) -> bool:
    """Whether a host is an address that is refused. A name is not; its addresses are checked when they are known."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return is_refused(host, private_networks)


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address means; otherwise the address itself."""
    if isinstance(address, IPv6Address) and any(address in network for network in _MEANS_IPV4):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if not address.is_global or address.is_multicast or any(address in network for network in _NOT_PUBLIC):
        return False
    return isinstance(address, IPv4Address) or address in _GLOBAL_UNICAST
