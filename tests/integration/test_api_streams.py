"""Streamed answers arrive while they are made, in little memory, and slow clients hold up nobody; with a real API process."""

import http.client
import re
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from api.server import WAITING_BYTES
from tests.certificates import Authority
from tests.integration.api_process import PATIENCE_SECONDS, READY_SECONDS, STOP_SECONDS, THREADS, ApiProcess, api_process
from tests.integration.streaming_app import LARGE_PARTS, PART, PERSONAL, STALL_SECONDS, TICKS
from tests.stack import wait_for

STREAMS = THREADS + 1  # more than there are threads for requests
KEPT_BYTES = 32_768  # by the systems of both sides, so little that most of an answer stays in the process
MEMORY_BYTES = 20_000_000  # that a process may grow by
MADE_BYTES = 2_000_000  # for a client that takes nothing: twice 256 KB in the process, the rest for TLS and the systems
SLOW_BYTES, SLOW_SECONDS = 65_536, 0.25  # a slow client's reads: a medium answer takes four times the deadline
BROKEN_OFF = r"reset|EOF"  # what a client is told of a connection that was not closed in order; EOF: over TLS
OPTIONS = ("--worker-class=tests.integration.streaming_app.QuickWorker", "tests.integration.streaming_app")


@pytest.fixture(scope="module", params=["http", "https"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[ApiProcess]:
    with pytest.MonkeyPatch.context() as patch, socket.socket() as listener:
        variables = {"MASTERY_HTTP_STREAMS": str(STREAMS)}
        if request.param == "https":
            authority = Authority(tmp_path_factory.mktemp("certificates"))
            pair = authority.issue("127.0.0.1")
            patch.setenv("REQUESTS_CA_BUNDLE", authority.file)
            variables |= {"MASTERY_HTTP_CERT_FILE": pair.certificate, "MASTERY_HTTP_KEY_FILE": pair.key}
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KEPT_BYTES)
        listener.bind(("127.0.0.1", 0))
        with api_process(tmp_path_factory.mktemp("api"), redis_url, listener, OPTIONS, **variables) as api:
            yield api


@pytest.fixture(autouse=True)
def _nothing_runs(api: ApiProcess) -> None:
    """No test starts while another one's streams run."""
    wait_for(lambda: running(api) == 0, READY_SECONDS)


def get(api: ApiProcess, path: str) -> requests.Response:
    return requests.get(f"{api.url}{path}", timeout=READY_SECONDS, stream=True)


def running(api: ApiProcess) -> int:
    """How many streamed bodies are being made."""
    return int(requests.get(f"{api.url}/", timeout=PATIENCE_SECONDS).text.split()[0])


def made(api: ApiProcess) -> int:
    """How many of their parts were made."""
    return int(requests.get(f"{api.url}/", timeout=PATIENCE_SECONDS).text.split()[1])


def asking(api: ApiProcess, path: str, version: str = "1.1") -> socket.socket:
    """A client that has sent a request, and whose system buffers little."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KEPT_BYTES)
    client.settimeout(READY_SECONDS)
    client.connect((api.settings.http_host, api.settings.http_port))
    if api.url.startswith("https"):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = context.wrap_socket(client, suppress_ragged_eofs=False)  # so that a missing close_notify is an error
    client.sendall(f"GET {path} HTTP/{version}\r\nHost: x\r\n\r\n".encode())
    return client


def test_an_answer_larger_than_may_wait_arrives_whole(api: ApiProcess) -> None:
    """More than all connections together may have in memory; the process holds only a little of it."""
    assert LARGE_PARTS * len(PART) > WAITING_BYTES
    get(api, "/medium").close()
    before = api.resident_bytes()
    with get(api, "/large") as answer:
        half = answer.raw.read(LARGE_PARTS // 2 * len(PART))
        most = api.resident_bytes()
        rest = answer.raw.read()
    assert half + rest == LARGE_PARTS * PART
    assert most < before + MEMORY_BYTES


def test_parts_are_sent_as_they_are_made(api: ApiProcess) -> None:
    """The client has the first part before the last one exists."""
    with get(api, "/gated") as answer:
        parts = answer.iter_content(None)
        assert next(parts) == b"first"
        get(api, "/open")
        assert list(parts) == [b"last"]


def test_a_body_may_take_its_time(api: ApiProcess) -> None:
    """A client that waits for the next part is not dropped."""
    with get(api, "/gated") as answer:
        parts = answer.iter_content(None)
        assert next(parts) == b"first"
        time.sleep(1.5 * STALL_SECONDS)  # in which nothing may happen
        get(api, "/open")
        assert list(parts) == [b"last"]


def test_a_client_that_takes_nothing_is_dropped(api: ApiProcess) -> None:
    """Little is made for it; then its connection is closed, the body too, and the thread is free."""
    before = made(api)
    with asking(api, "/endless") as client:
        wait_for(lambda: running(api) == 1, READY_SECONDS)
        wait_for(lambda: running(api) == 0, READY_SECONDS)
        assert (made(api) - before) * len(PART) < MADE_BYTES
        answer = http.client.HTTPResponse(client)
        answer.begin()
        with pytest.raises((OSError, http.client.IncompleteRead)):
            answer.read()


def test_a_slow_client_gets_all(api: ApiProcess) -> None:
    """The deadline is for some of the answer, not for all of it."""
    began = time.monotonic()
    with asking(api, "/medium") as client:
        answer = http.client.HTTPResponse(client)
        answer.begin()
        read = 0
        while part := answer.read(SLOW_BYTES):
            read += len(part)
            time.sleep(SLOW_SECONDS)
    assert read == LARGE_PARTS // 50 * len(PART)
    assert time.monotonic() - began > 2 * STALL_SECONDS


def test_a_client_that_leaves_ends_its_stream(api: ApiProcess) -> None:
    """The body is closed, and its thread is free."""
    with asking(api, "/endless") as client:
        client.recv(1)
        assert running(api) == 1
    wait_for(lambda: running(api) == 0, STALL_SECONDS / 2)


def test_an_error_in_the_middle_is_seen(api: ApiProcess) -> None:
    """The client gets what was made, and an error instead of the end; the log has no text of the error."""
    with asking(api, "/broken") as client:
        answer = http.client.HTTPResponse(client)
        answer.begin()
        with pytest.raises(http.client.IncompleteRead) as failure:
            answer.read()
    assert failure.value.partial == 3 * PART
    logged = api.log.read_text()
    assert "a streamed answer failed: ValueError > " in logged
    assert PERSONAL not in logged


def test_an_error_before_the_first_part(api: ApiProcess) -> None:
    """It is an error like any other: nothing was sent yet."""
    answer = get(api, "/broken-at-once")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL_ERROR")


def test_http_1_0(api: ApiProcess) -> None:
    """The answer ends with the connection. If it is not whole, the connection is reset, or the client could not know."""
    with asking(api, "/medium", "1.0") as client:
        head, _, body = b"".join(iter(lambda: client.recv(65_536), b"")).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body == LARGE_PARTS // 50 * PART
    with asking(api, "/broken", "1.0") as client, pytest.raises(OSError, match=BROKEN_OFF):
        list(iter(lambda: client.recv(65_536), b""))
    with asking(api, "/endless", "1.0") as client:
        wait_for(lambda: running(api) == 1, READY_SECONDS)
        wait_for(lambda: running(api) == 0, READY_SECONDS)
        with pytest.raises(OSError, match=BROKEN_OFF):
            list(iter(lambda: client.recv(65_536), b""))


def test_others_are_answered_while_all_streams_stall(api: ApiProcess) -> None:
    """Another stream is rejected, and can be repeated; other requests do not notice. Later there is room again."""
    with ExitStack() as stalled:
        for _ in range(STREAMS):
            stalled.enter_context(asking(api, "/endless"))
        wait_for(lambda: running(api) == STREAMS, STALL_SECONDS)
        refused = get(api, "/small")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert [running(api) for _ in range(10)] == [STREAMS] * 10
    wait_for(lambda: get(api, "/small").text == "onetwo", READY_SECONDS)


def test_the_connection_is_kept_after_a_stream(api: ApiProcess) -> None:
    """The client's next requests, also those that it sent before it had the answer, are answered in order."""
    with asking(api, "/small") as client:
        client.sendall(b"HEAD /small HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        client.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = b"".join(iter(lambda: client.recv(65_536), b"")).split(b"HTTP/1.1 200 OK\r\n")[1:]
    bodies = [re.sub(rb"^.*?\r\n\r\n", b"", each, flags=re.DOTALL) for each in answers]
    chunked = b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    assert bodies == [chunked, b"", chunked, chunked, chunked]
    assert [b"keep-alive" in each for each in answers] == [True] * 4 + [False]


def test_a_stopped_process_completes_its_streams(tmp_path: Path, redis_url: str) -> None:
    """A shutdown waits for what is being made and sent."""
    with api_process(tmp_path, redis_url, None, OPTIONS) as api, get(api, "/ticks") as answer:
        parts = answer.iter_content(None)
        assert next(parts) == b"0\n"
        api.process.send_signal(signal.SIGTERM)
        assert b"".join(parts) == b"".join(b"%d\n" % number for number in range(1, TICKS))
        assert api.process.wait(STOP_SECONDS) == 0
