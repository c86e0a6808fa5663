"""Ports for servers that other processes start a moment later."""

import socket

LOOPBACK = "127.0.0.1"


def claim_port(host: str = LOOPBACK, wanted: int = 0) -> int:
    """The wanted port, or a free one for 0, which is given to nobody else by chance while its server starts.

    Raises OSError when the wanted one is taken.
    """
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, wanted))
        place: tuple[str, int] = server.getsockname()
        if not wanted:
            # A connection that the server's end closes first leaves the port in TIME_WAIT (RFC 9293, section 3.6.1). Until that
            # has passed, a minute on Linux, the system gives the port to no connection, and to no server that asks for any; one
            # that names it, with SO_REUSEADDR as all of ours do, has it at once.
            server.listen()
            with socket.create_connection(place):
                server.accept()[0].close()
    return place[1]
