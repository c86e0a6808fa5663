"""Reserves ports for servers that other processes start a moment later."""

import errno
import socket

from app.errors import SettingsError

LOOPBACK = "127.0.0.1"


def claim_port(host: str = LOOPBACK, wanted: int = 0) -> int:
    """Check that a port is free, or choose a free one that the system gives to no other process while its server starts.

    Propagates OSError when the port is taken at any of the host's addresses, or the host is not this machine.

    Args:
        host: a name or an IPv4 or IPv6 address.
        wanted: the port; 0 for any free one.

    Returns:
        The port.
    """
    places = {(family, place) for family, _, _, _, place in socket.getaddrinfo(host, wanted, type=socket.SOCK_STREAM)}
    claimed = wanted
    for family, place in sorted(places):
        claimed = _claim(family, (place[0], claimed, *place[2:]))
    return claimed


def claim_port_of(host_setting: str, host: str, port_setting: str, wanted: int) -> int:
    """As ``claim_port``, but raises SettingsError with the name of the wrong setting."""
    try:
        return claim_port(host, wanted)
    except (socket.gaierror, UnicodeError) as error:
        raise SettingsError(f"{host_setting}: {host} is not the name of a host: {error}") from error
    except OSError as error:
        if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            raise SettingsError(f"{host_setting}: {host} is not an address of this machine") from error
        raise SettingsError(f"{port_setting}: cannot listen on {host}:{wanted}: {error.strerror}; choose another") from error


def _claim(family: int, place: tuple[str | int, ...]) -> int:
    with socket.socket(family) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # a name's IPv4 addresses are claimed separately
        server.bind(place)
        claimed: int = server.getsockname()[1]
        if not place[1]:
            # A connection that the server closes first leaves the port in TIME_WAIT (RFC 9293, section 3.6.1), for a minute on
            # Linux. Meanwhile the system does not choose the port for connections or for servers that ask for any port. A
            # server that requests it explicitly with SO_REUSEADDR, as all of ours do, gets it.
            server.listen()
            with socket.create_connection(server.getsockname()[:2]):
                server.accept()[0].close()
    return claimed
