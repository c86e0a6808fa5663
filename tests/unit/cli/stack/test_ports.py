"""Ports that are reserved for servers before they start."""

import errno
import socket
import struct
import sys
from collections.abc import Iterator

import pytest

from app.errors import SettingsError
from cli.stack.ports import LOOPBACK, claim_port, claim_port_of

IP_LOCAL_PORT_RANGE = 51  # linux/in.h: the first and the last port that this socket may be given, as two halves of a number


@pytest.fixture
def listening() -> Iterator[tuple[str, int]]:
    """A port with a listening server."""
    with socket.create_server((LOOPBACK, 0)) as server:
        place: tuple[str, int] = server.getsockname()
        yield place


def test_a_server_that_names_a_claimed_port_has_it_at_once() -> None:
    """This also holds each time the server restarts."""
    port = claim_port()
    for _ in range(3):
        with socket.create_server((LOOPBACK, port)) as server:
            assert server.getsockname()[1] == port


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a socket choose from which ports it is given one")
def test_no_connection_is_given_a_claimed_port(listening: tuple[str, int]) -> None:
    """The system would otherwise give the port away as soon as nobody listens on it."""
    with socket.create_server((LOOPBACK, 0)) as server:
        unclaimed = server.getsockname()[1]
    connect_from(unclaimed, listening)
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        connect_from(claim_port(), listening)
    assert refused.value.errno == errno.EADDRNOTAVAIL


def connect_from(port: int, place: tuple[str, int]) -> None:
    """Connect as a client that can only get this one local port."""
    with socket.socket() as client:
        client.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("=HH", port, port))
        client.connect(place)
        assert client.getsockname()[1] == port


def test_a_wanted_port_is_kept() -> None:
    """This holds if nobody listens on it."""
    port = claim_port()
    assert claim_port(wanted=port) == port


def test_a_port_that_is_taken_is_refused(listening: tuple[str, int]) -> None:
    """The error has the system's reason."""
    with pytest.raises(OSError, match="Address already in use"):
        claim_port(wanted=listening[1])


def test_every_address_of_the_machine() -> None:
    """The API may listen on all addresses."""
    assert claim_port("0.0.0.0") > 0


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_ipv6(listening: tuple[str, int]) -> None:
    """A port is reserved for one address; a server on another address does not matter."""
    port = claim_port("::1")
    with (
        socket.create_server(("::1", port), family=socket.AF_INET6),
        pytest.raises(OSError, match="Address already in use"),
    ):
        claim_port("::1", port)
    assert claim_port("::1", listening[1]) == listening[1]
    assert claim_port("::") > 0


@pytest.mark.parametrize(
    ("host", "blamed"),
    [
        ("192.0.2.1", "THE_HOST: 192.0.2.1 is not an address of this machine"),
        ("nowhere.invalid", "THE_HOST: nowhere.invalid is not the name of a host"),
        ("x" * 64, f"THE_HOST: {'x' * 64} is not the name of a host"),
        (LOOPBACK, "THE_PORT: cannot listen on 127.0.0.1:"),
    ],
)
def test_the_setting_to_blame_is_named(listening: tuple[str, int], host: str, blamed: str) -> None:
    """The host is named if it does not belong to this machine, otherwise the port."""
    with pytest.raises(SettingsError) as refused:
        claim_port_of("THE_HOST", host, "THE_PORT", listening[1])
    assert str(refused.value).startswith(blamed)
