"""Connections to the API follow the rules of HTTP, over sockets to a real API process."""

import signal
import socket
import struct
from pathlib import Path

import psutil
import pytest
import requests

from tests.integration.api_process import READY_SECONDS, ApiProcess, api_process
from tests.production import PRODUCTION
from tests.stack import wait_for

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /mastery/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
NOWHERE = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"

QUIET_SECONDS = 0.5  # 100 Continue comes in a thousandth of that


def statuses(answers: bytes) -> list[str]:
    return [part[:3].decode() for part in answers.split(b"HTTP/1.1 ")[1:]]


def talk_and_end(api: ApiProcess, *parts: bytes) -> bytes:
    """Send this, close the sending side, and read until the API closes the connection."""
    with api.connect() as connection:
        for part in parts:
            connection.sendall(part)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize("count", [1, 2, 5, 300])
def test_a_client_that_ends_after_its_last_request_gets_every_answer(api_alone: ApiProcess, count: int) -> None:
    """Half-closed connections work: what was sent before the end gets responses."""
    answers = talk_and_end(api_alone, GET * count)
    assert statuses(answers) == ["200"] * count


def test_a_client_that_ends_within_a_request(api_alone: ApiProcess) -> None:
    """Earlier requests get their responses, and the last one an error that it is incomplete."""
    assert statuses(talk_and_end(api_alone, GET + GET + POST + b"Content-Length: 9\r\n\r\n{")) == ["200", "200", "401"]
    assert statuses(talk_and_end(api_alone, GET + GET + b"GET / HT")) == ["200", "200", "400"]


@pytest.mark.parametrize("parts", [[GET + b"\r\n"], [GET, b"\r\n"], [b"\r\n" + GET + b"\r\n" + GET + b"\r\n"]])
def test_an_empty_line_at_the_end_is_no_request(api_alone: ApiProcess, parts: list[bytes]) -> None:
    """Old clients send an empty line after a body (RFC 9112 section 2.2): it gets no response."""
    assert set(statuses(talk_and_end(api_alone, *parts))) == {"200"}


def test_http_1_0_knows_no_100_continue(api_alone: ApiProcess) -> None:
    """Such a client would take 100 Continue for the response (RFC 9110 section 10.1.1): it gets only the response."""
    old = POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with api_alone.connect() as connection:
        connection.sendall(old)
        connection.settimeout(QUIET_SECONDS)
        with pytest.raises(TimeoutError):
            assert connection.recv(65_536) is None
        connection.settimeout(READY_SECONDS)
        connection.sendall(b"{}")
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.0 401 "), answer


def test_a_connection_that_was_reset_before_it_was_accepted(api_alone: ApiProcess) -> None:
    """It has no peer address any more. It is dropped without a log line, although its request can be read."""
    before = len(api_alone.log.read_text())
    [worker] = psutil.Process(api_alone.process.pid).children()
    worker.send_signal(signal.SIGSTOP)
    try:
        wait_for(lambda: worker.status() == psutil.STATUS_STOPPED, READY_SECONDS)
        for _ in range(5):
            with api_alone.connect() as connection:
                connection.sendall(GET)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # so that it is reset
    finally:
        worker.send_signal(signal.SIGCONT)
    assert [api_alone.answers() for _ in range(5)] == [True] * 5
    assert not [line for line in api_alone.log.read_text()[before:].splitlines() if " INFO " not in line]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("401", b"2\r\n{}XX0\r\n\r\n"),  # no line end after the chunk
        ("401", b"2;=\r\n{}\r\n0\r\n\r\n"),  # an extension without a name
        ("401", b"2\r\n{}\r\n0\r\nNo colon\r\n\r\n"),
        ("401", b"2\r\n{}\r\n0\r\nX: 1\nY: 2\r\n\r\n"),
        ("401", b"2\r\n{}\r\nzz\r\n"),
        ("401", b"2\r\n{}\r\n-1\r\n"),
    ],
)
def test_a_body_that_turns_out_broken(api_alone: ApiProcess, status: str, body: bytes) -> None:
    """If a body that was not needed turns out broken, the response closes the connection, and the rest is not a request."""
    for parts in ([body, NOWHERE], [body + NOWHERE]):
        answers = api_alone.talk(POST + b"Transfer-Encoding: chunked\r\n\r\n", *parts)
        assert statuses(answers) == [status]
        assert answers.lower().count(b"connection: close") == 1


def test_a_body_that_breaks_after_it_was_too_large(api_alone: ApiProcess) -> None:
    """It is rejected as soon as it is too large; the broken rest is discarded, and the client can read the response."""
    large = POST.replace(b"/query", b"/ingest") + b"Authorization: " + api_alone.authorization["Authorization"].encode()
    large += b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    with api_alone.connect() as connection:
        connection.sendall(large + 40 * chunk + b"zz\r\n\r\n" + NOWHERE)
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert statuses(answers) in (["413"], ["400"])  # by how much of it had arrived when it was known to be too large
    assert answers.lower().count(b"connection: close") == 1


def test_refusals_have_what_every_answer_has(tmp_path: Path) -> None:
    """The date (RFC 9110 section 6.6.1), and security headers, in production with HSTS; none has its own version of them."""
    with api_process(tmp_path, PRODUCTION["MASTERY_REDIS_URL"], None, **PRODUCTION) as api:
        usual = requests.get(f"{api.url}/nowhere", timeout=READY_SECONDS).headers
        refused = api.talk(b"nonsense\r\n\r\n")
    head = refused.partition(b"\r\n\r\n")[0].decode()
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    assert "Strict-Transport-Security" in usual
    differ = {"Date", "Connection", "Content-Length", "X-Correlation-ID"}
    rates = {name for name in usual if name.startswith("X-RateLimit-")}
    assert {name: value for name, value in usual.items() if name not in differ | rates} == {
        name: value for name, value in headers.items() if name not in differ
    }
    assert usual.keys() - rates == headers.keys()
