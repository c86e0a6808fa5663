"""Ports for servers that other processes start a moment later."""

import errno
import socket

from app.errors import SettingsError

LOOPBACK = "127.0.0.1"


def claim_port(host: str = LOOPBACK, wanted: int = 0) -> int:
    """The wanted port, or a free one for 0, which is given to nobody else by chance while its server starts.

    ``host`` is a name or an address, IPv4 or IPv6. Raises OSError when the wanted port is taken, at any of the host's
    addresses, and when the host is not this machine.
    """
    places = {(family, place) for family, _, _, _, place in socket.getaddrinfo(host, wanted, type=socket.SOCK_STREAM)}
    claimed = wanted
    for family, place in sorted(places):
        claimed = _claim(family, (place[0], claimed, *place[2:]))
    return claimed


def claim_port_of(host_setting: str, host: str, port_setting: str, wanted: int) -> int:
    """The wanted port of a host, or a free one for 0. Raises SettingsError with the setting that is to blame."""
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
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # of a name, the IPv4 addresses have their own turn
        server.bind(place)
        claimed: int = server.getsockname()[1]
        if not place[1]:
            # A connection that the server's end closes first leaves the port in TIME_WAIT (RFC 9293, section 3.6.1). Until that
            # has passed, a minute on Linux, the system gives the port to no connection, and to no server that asks for any; one
            # that names it, with SO_REUSEADDR as all of ours do, has it at once.
            server.listen()
            with socket.create_connection(server.getsockname()[:2]):
                server.accept()[0].close()
    return claimed
