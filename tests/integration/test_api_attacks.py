"""Malicious clients and bad networks, over sockets to a real API process: other clients still get responses."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import pytest
import requests

from api.connections import AHEAD_BYTES
from app.bootstrap import bootstrap
from app.roles import Role
from app.security.tokens import development_token
from tests.integration.api_process import (
    CONNECTIONS,
    PATIENCE_SECONDS,
    READY_SECONDS,
    REQUEST_SECONDS,
    STOP_SECONDS,
    ApiProcess,
    api_process,
)

# What the process needs itself, and for these tests' requests: 75 and 64 MB, and some for the allocator.
MEMORY_BYTES = 220_000_000

HEAD = b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "
POST = b"POST /mastery/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
ASSET = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
# What is sent at once, and what then follows one byte at a time.
SLOW = {
    "nothing": (b"", b""),
    "slow head": (HEAD, b"a" * 100),
    "slow first byte": (b"", HEAD),
    "slow body": (POST + b"Content-Length: 100\r\n\r\n", b"{" * 100),
    "slow chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n" * 20),
    "deaf": (4 * ASSET, b""),  # more than both systems buffer
}


@contextmanager
def slow_clients(api: ApiProcess, how: str, count: int) -> Iterator[list[socket.socket]]:
    """This many clients, each sending a byte now and then, or not reading a large response."""
    begun, rest = SLOW[how]
    ends = Event()
    with ExitStack() as exits:
        clients = []
        for _ in range(count):
            client = exits.enter_context(socket.socket())
            if how == "deaf":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((api.settings.http_host, api.settings.http_port))
            client.sendall(begun)
            clients.append(client)

        def drip() -> None:
            for byte in rest:
                if ends.wait(REQUEST_SECONDS / 10):
                    return
                for client in clients:
                    with suppress(OSError):  # it was closed
                        client.send(bytes([byte]), socket.MSG_DONTWAIT)

        dripping = Thread(target=drip)
        dripping.start()
        exits.callback(dripping.join)
        exits.callback(ends.set)
        time.sleep(REQUEST_SECONDS / 10)  # so that they are read
        yield clients


@pytest.mark.parametrize("how", SLOW)
def test_slow_clients_stop_nobody(api_alone: ApiProcess, how: str) -> None:
    """Far more slow clients than there are threads do not affect others."""

    def ask(_: int) -> int:
        body = {"student_id": "s-1"}
        url = f"{api_alone.url}/mastery/query"
        return requests.post(url, json=body, headers=api_alone.authorization, timeout=PATIENCE_SECONDS).status_code

    with slow_clients(api_alone, how, CONNECTIONS - 16), ThreadPoolExecutor(16) as others:
        assert [404] * 16 == list(others.map(ask, range(16)))
        assert api_alone.answers()


def test_a_request_has_a_time_to_arrive_in(api_alone: ApiProcess) -> None:
    """The deadline counts from first byte to last, even if bytes keep arriving: then 408, and the connection is closed."""
    with ExitStack() as exits:
        trickling = ("slow head", "slow first byte", "slow body", "slow chunks")
        for client in [exits.enter_context(slow_clients(api_alone, how, 1))[0] for how in trickling]:
            client.settimeout(10 * REQUEST_SECONDS)
            answer = b"".join(iter(lambda client=client: client.recv(65_536), b""))  # type: ignore[misc]
            assert_refused(answer, 408)


def test_whoever_says_nothing_is_given_up(api_alone: ApiProcess) -> None:
    """A new connection must begin a request within the time that a request may take."""
    assert api_alone.talk() == b""


def test_more_connections_than_there_may_be(api_alone: ApiProcess) -> None:
    """New connections replace those that have waited longest, so probes and callers get through."""
    with ExitStack() as idle:
        clients = [idle.enter_context(api_alone.connect()) for _ in range(4 * CONNECTIONS)]
        assert api_alone.answers()
        clients[0].settimeout(PATIENCE_SECONDS)
        with suppress(ConnectionResetError):
            assert clients[0].recv(1) == b""


def test_answered_clients_that_do_not_leave(api_alone: ApiProcess) -> None:
    """Clients that continue sending after a rejection are replaced first."""
    with ExitStack() as exits:
        clients = [exits.enter_context(api_alone.connect()) for _ in range(CONNECTIONS)]
        for client in clients:
            client.sendall(b"nonsense\r\n\r\n")
            assert client.recv(65_536).startswith(b"HTTP/1.1 400 ")
        for client in clients:
            with suppress(OSError):
                client.sendall(b"x")
        assert api_alone.answers()


def assert_refused(answer: bytes, status: int) -> None:
    """The envelope with the headers of every response, and a closed connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert lines[0].startswith(f"HTTP/1.1 {status} "), answer
    told = json.loads(body)
    assert (told["success"], told["error"]["details"]) == (False, {})
    assert told["error"]["code"] == ("INTERNAL_ERROR" if status == 500 else "MALFORMED_REQUEST")
    assert headers["X-Correlation-ID"] == told["meta"]["correlation_id"]
    expected = {"Content-Type": "application/json", "Connection": "close", "Server": "mastery", "Cache-Control": "no-store"}
    assert expected == {name: headers[name] for name in expected}
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, b"nonsense\r\n\r\n"),
        (400, b"GET\r\n\r\n"),
        (400, b"get / HTTP/1.1\r\n\r\n"),
        (400, b"\x16\x03\x01\x02\x00\x01\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nNo colon\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nContent-Type: a\r\nContent-Type: b\r\n\r\n"),
        (400, POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, POST + b"Content-Length: +1\r\n\r\n{"),
        (400, POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
        (414, b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n"),
        (417, b"GET / HTTP/1.1\r\nExpect: miracles\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\nAuthorization: Bearer " + b"a" * 40_000 + b"\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 60 + b"\r\n"),
        (431, b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000),
        (501, POST + b"Transfer-Encoding: gzip, whatever, chunked\r\n\r\n0\r\n\r\n"),
        (505, b"GET / HTTP/3.0\r\n\r\n"),
    ],
)
def test_what_is_no_request(api_alone: ApiProcess, status: int, request_: bytes) -> None:
    """Invalid HTTP does not reach the application, and still gets a response in the envelope."""
    assert_refused(api_alone.talk(request_), status)


@pytest.mark.parametrize(
    "length",
    [
        b"Content-Length: 9999999999999999",
        b"Content-Length: " + b"9" * 40,
        b"Content-Length: " + b"0" * 14 + b"52",
        b"Content-Length: +50",
        b"Content-Length: 50, 50",
        b"Content-Length: 50\r\nContent-Length: 50",
        b"Content-Length:",
    ],
)
def test_a_body_whose_length_is_read_in_two_ways(api_alone: ApiProcess, length: bytes) -> None:
    """What a proxy or the parser considers a body is not read as a request: one response, and the connection is closed."""
    smuggled = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nX-Padding: aaaaaaa\r\n\r\n"
    answers = api_alone.talk(b"GET /health HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n\r\n", smuggled)
    assert answers.count(b"HTTP/1.1 ") == 1
    assert answers.count(b"HTTP/1.1 404 ") == 0


def test_a_token_of_many_cohorts(api_alone: ApiProcess) -> None:
    """A teacher's token with 400 cohorts has a header of 30 KB, and is accepted."""
    cohorts = [f"{number:04}-{'x' * 40}" for number in range(400)]
    token = development_token(
        api_alone.settings, role=Role.TEACHER, tenant="t-1", subject="t", cohorts=cohorts, now=datetime.now(UTC)
    )
    assert 24_000 < len(token) < api_alone.settings.http_max_header_bytes
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(f"{api_alone.url}/mastery/query", json={"student_id": "s-1"}, headers=headers, timeout=READY_SECONDS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")


def test_requests_that_are_sent_ahead(api_alone: ApiProcess) -> None:
    """Pipelined requests, split anywhere, get their responses in order."""

    def post(body: bytes, length: bytes) -> bytes:
        return POST + length + b"\r\n\r\n" + body

    sent = b"".join(
        (
            b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
            post(b"{}", b"Content-Length: 2"),
            post(b"2\r\n{}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
            b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
    )
    for cut in (1, 30, 100, 250, len(sent)):
        answers = api_alone.talk(sent[:cut], sent[cut:]).decode()
        assert ["200", "401", "401", "404", "200"] == [part[:3] for part in answers.split("HTTP/1.1 ")[1:]]


def test_a_client_that_sends_far_ahead(api_alone: ApiProcess) -> None:
    """If more is pipelined than the buffer holds, nothing is lost: it is read later."""
    many = AHEAD_BYTES // 50
    padded = b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100
    with api_alone.connect() as connection, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(connection.sendall, (padded + b"\r\n\r\n") * many + padded + b"\r\nConnection: close\r\n\r\n")
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
        sending.result()
    assert many + 1 == answers.count(b"HTTP/1.1 200 ")


def test_a_client_that_asks_before_it_sends(api_alone: ApiProcess) -> None:
    """``Expect: 100-continue`` gets one 100 Continue, and then the response."""
    with api_alone.connect() as connection:
        connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
        assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 401 ")


def test_memory_is_bounded(api_alone: ApiProcess) -> None:
    """Bodies of 2 MB of unknown fields, endless uploads and unread responses do not exhaust memory."""
    fields = "{" + ",".join(f'"field-{number}":1' for number in range(110_000)) + "}"
    url = f"{api_alone.url}/mastery/"
    headers = api_alone.authorization | {"Content-Type": "application/json"}

    def send(number: int) -> int:
        route = ("calculate", "ingest")[number % 2]
        answer = requests.post(url + route, fields, headers=headers, timeout=READY_SECONDS)
        assert len(answer.content) < 10_000
        return answer.status_code

    with ThreadPoolExecutor(8) as attackers:
        assert {413, 422} == set(attackers.map(send, range(40)))
    with ExitStack() as exits:
        for _ in range(CONNECTIONS - 4):
            client = exits.enter_context(api_alone.connect())
            client.settimeout(PATIENCE_SECONDS)
            with suppress(OSError):  # told that the service is busy
                client.sendall(POST + b"Content-Length: 1999999\r\n\r\n" + b"{" * 1_900_000)
        assert api_alone.answers()
    with slow_clients(api_alone, "deaf", CONNECTIONS - 4):
        assert api_alone.answers()
    assert api_alone.resident_bytes() < MEMORY_BYTES  # without the limits on bodies 280 MB, with two threads


def test_a_stopped_process_answers_what_it_has_in_hand(tmp_path: Path, redis_url: str) -> None:
    """A shutdown completes running requests, accepts no new ones, and does not wait for silent clients."""
    with api_process(tmp_path, redis_url) as api, api.connect() as idle, ThreadPoolExecutor(1) as pool:
        idle.sendall(HEAD)
        answer = pool.submit(requests.get, f"{api.url}/ready", timeout=READY_SECONDS)  # it waits for workers
        time.sleep(0.3)
        api.process.send_signal(signal.SIGTERM)
        assert (answer.result().status_code, answer.result().headers["Connection"]) == (503, "close")
        assert api.process.wait(STOP_SECONDS) == 0
        with pytest.raises(OSError, match="refused"):
            api.connect().close()


def test_ipv6(tmp_path: Path, redis_url: str) -> None:
    """The API listens on the configured address, also IPv6, and knows its callers by theirs."""
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    with api_process(tmp_path, redis_url, MASTERY_HTTP_HOST="::1") as api:
        assert requests.get(f"{api.url}/", timeout=READY_SECONDS).headers["X-RateLimit-Limit"] == "1000000"
        with bootstrap(api.settings).redis as client:
            windows = [str(window) for window in client.scan_iter(f"{api.settings.key_prefix}:*rate:*")]
        assert [True] == [window.endswith("rate:public:::'") for window in windows]
