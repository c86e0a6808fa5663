"""Connections to the API over TLS, and renewal of its certificate, with one real process."""

import re
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.server import LINGER_SECONDS
from tests.certificates import Authority, Pair
from tests.integration.api_process import READY_SECONDS, ApiProcess, api_process
from tests.stack import wait_for

KEPT_BYTES = 32_768  # by the systems of both sides: so little that most of a large response stays in the process
LEFT_BYTES = 110_000  # of a large response, when the process has just passed all of it to TLS
LARGE = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CHECKS = 3  # seconds: the files are checked every second


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("127.0.0.1")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, redis_url: str, authority: Authority, pair: Pair) -> Iterator[ApiProcess]:
    files = {"MASTERY_HTTP_CERT_FILE": pair.certificate, "MASTERY_HTTP_KEY_FILE": pair.key}
    with pytest.MonkeyPatch.context() as patch, socket.socket() as listener:
        patch.setenv("REQUESTS_CA_BUNDLE", authority.file)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KEPT_BYTES)
        listener.bind(("127.0.0.1", 0))
        with api_process(tmp_path_factory.mktemp("api"), redis_url, listener, **files) as api:
            yield api


def test_a_slow_client_gets_all_of_a_large_answer(api: ApiProcess, authority: Authority) -> None:
    """Also on its last connection, if it pauses for longer than the linger time: what TLS has buffered is not sent yet."""
    context = ssl.create_default_context(cafile=authority.file)
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KEPT_BYTES)
        plain.settimeout(READY_SECONDS)
        plain.connect((api.settings.http_host, api.settings.http_port))
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
            client.sendall(LARGE)
            time.sleep(2 * LINGER_SECONDS)
            head, _, body = client.recv(16_384).partition(b"\r\n\r\n")
            expected = int(re.search(rb"content-length: (\d+)", head.lower())[1])  # type: ignore[index]  # every answer has one
            while (left := expected - LEFT_BYTES - len(body)) > 0 and (piece := client.recv(min(16_384, left))):
                body += piece
            time.sleep(2 * LINGER_SECONDS)
            body += b"".join(iter(lambda: client.recv(16_384), b""))
    assert expected == len(body)


def test_a_client_that_ends_its_side(api: ApiProcess, authority: Authority) -> None:
    """TLS ends the connection then, whatever is being sent. Nothing is logged, and others get responses."""
    client = ssl.create_default_context(cafile=authority.file)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    speaking = client.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    before = len(api.log.read_text())
    with api.connect() as plain:
        while not _is_shaken(speaking):
            plain.sendall(outgoing.read())
            incoming.write(plain.recv(65_536))
        speaking.write(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")  # which takes a while: there are no workers to ask
        with pytest.raises(ssl.SSLWantReadError):
            speaking.unwrap()
        plain.sendall(outgoing.read())  # both at once, before the response
        while plain.recv(65_536):
            pass
    assert api.answers()
    said = api.log.read_text()[before:]
    assert "eof_received" not in said


def _is_shaken(speaking: ssl.SSLObject) -> bool:
    try:
        speaking.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def test_a_certificate_that_cannot_be_used_is_told_once(api: ApiProcess, pair: Pair) -> None:
    """One line is logged, and one when it is usable again, not every second."""
    key = Path(pair.key)
    good = key.read_bytes()

    def told() -> list[str]:
        return [line for line in api.log.read_text().splitlines() if "the certificate" in line]

    for times in (1, 2):
        key.write_bytes(b"")
        wait_for(lambda: "cannot" in "".join(told()[-1:]), READY_SECONDS)
        time.sleep(CHECKS)  # in which nothing more may be logged
        key.write_bytes(good)
        wait_for(lambda: "good again" in told()[-1], READY_SECONDS)
        assert len(told()) == 2 * times
