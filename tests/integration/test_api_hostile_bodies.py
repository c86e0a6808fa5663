"""Hostile bodies, sent to a real gunicorn: each is rejected in the envelope, and the service continues."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from api.body_limits import SMALL_BODY_BYTES
from tests.integration.conftest import LiveApi
from tests.stack import wait_for

ROUTES = ["/mastery/query", "/mastery/calculate"]
LARGE = b'{"student_id": "' + b"a" * 10_000_000 + b'"}'
PATIENCE_SECONDS = 5.0  # less than any timeout for clients
DEEP = 1_020  # too deep to parse, and at most 16 KB


def post(live_api: LiveApi, path: str, body: Any, content_type: str | None = "application/json") -> requests.Response:
    headers = live_api.authorization() | ({"Content-Type": content_type} if content_type else {})
    return requests.post(live_api.url + path, data=body, headers=headers, timeout=30)


def assert_refused(answer: requests.Response, status: int, code: str) -> dict[str, list[str]]:
    """An error in the envelope, without internals; returns its details."""
    assert answer.headers["Content-Type"] == "application/json", answer.text
    told = answer.json()
    assert (answer.status_code, told["error"]["code"]) == (status, code), answer.text
    assert list(told) == ["success", "error", "meta"]
    assert list(told["error"]) == ["code", "message", "details"]
    for word in ("Traceback", "msgspec", "marshmallow", "werkzeug", "Error(", ".py"):
        assert word not in answer.text
    details: dict[str, list[str]] = told["error"]["details"]
    return details


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "é"]
)
def test_content_types_that_are_not_json(live_api: LiveApi, path: str, content_type: str | None) -> None:
    """A body must be declared as JSON: 415."""
    assert_refused(post(live_api, path, b'{"student_id": "s-1"}', content_type), 415, "MALFORMED_REQUEST")


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"student_id": "s-1"',
        b'{"student_id": "s-1"}}',
        b"{'student_id': 's-1'}",
        b'{"student_id": "s-1",}',
        b"\xef\xbb\xbf{}",
        b'{"student_id": "\xff"}',
        b'{"\xc3\x28": 1}',
        '{"student_id": "s-1"}'.encode("utf-16"),
        b'{"student_id": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"student_id": "\x00"}',
        b'{"student_id": NaN}',
        b'{"components": {"quiz": NaN}, "student_id": "s-1"}',
        b'{"components": {"quiz": Infinity}, "student_id": "s-1"}',
        b'{"components": {"quiz": -Infinity}, "student_id": "s-1"}',
        b'{"components": {"quiz": 1e400}, "student_id": "s-1"}',
        b'{"components": {"quiz": ' + b"9" * 5000 + b'}, "student_id": "s-1"}',
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"student_id": ' * DEEP + b"1" + b"}" * DEEP,
    ],
    ids=lambda body: repr(body[:50]),
)
def test_bodies_that_are_not_json(live_api: LiveApi, path: str, body: bytes) -> None:
    """Invalid JSON or UTF-8, numbers that JSON or floats do not have, or too deep nesting: 400."""
    assert_refused(post(live_api, path, body), 400, "MALFORMED_REQUEST")


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("body", [b"null", b"[]", b"[{}]", b'"s-1"', b"5", b"true"])
def test_bodies_that_are_not_objects(live_api: LiveApi, path: str, body: bytes) -> None:
    """JSON, but not an object: 422 for the body."""
    assert list(assert_refused(post(live_api, path, body), 422, "VALIDATION_ERROR")) == ["body"]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "field", ["tenant", "json", "body", "student_id ", "Student_id", "a.b", "", "<script>", "__class__", "é" * 1000]
)
def test_unknown_fields(live_api: LiveApi, path: str, field: str) -> None:
    """An unknown field is rejected by its name, which may be truncated, and not ignored."""
    body = json.dumps({"student_id": "s-1", field: 1})
    told = field if len(field) <= 200 else f"{field[:199]}…"
    assert assert_refused(post(live_api, path, body), 422, "VALIDATION_ERROR") == {told or "body": ["Unknown field."]}


@pytest.mark.parametrize("path", [*ROUTES, "/mastery/ingest"])
@pytest.mark.parametrize("fields", [25, 90, 110, 1_000])
def test_what_is_told_of_many_mistakes_is_bounded(live_api: LiveApi, path: str, fields: int) -> None:
    """Twenty errors, and the number of further ones; for more fields than any route has, only their number."""
    answer = post(live_api, path, json.dumps({f"f{number}": 1 for number in range(fields)}))
    details = assert_refused(answer, 422, "VALIDATION_ERROR")
    if fields > 100:
        assert details == {"body": ["Has more than 100 fields."]}
    else:
        assert len(details) == 20
        more = fields + (path in ROUTES) - 20  # which lack student_id
        assert answer.json()["error"]["message"] == f"The request is not valid. 20 problems are told, {more} more are not."


@pytest.mark.parametrize("path", [*ROUTES, "/mastery/ingest", "/auth/revoke"])
def test_nothing_is_answered_at_the_length_of_what_was_sent(live_api: LiveApi, path: str) -> None:
    """At most the beginning of names, values and ids is quoted, so that no response exceeds 8 KB."""
    long = "x" * 900
    events = [{"event_id": long, "event_type": f"{long}{number}", long: long} for number in range(4)]
    for body in ({long: {long: long}}, {f"{long}{number}": long for number in range(8)}, {"events": events}):
        answer = post(live_api, path, json.dumps(body))
        assert_refused(answer, 422, "VALIDATION_ERROR")
        assert len(answer.content) < 8192
        assert long not in answer.text


@pytest.mark.parametrize("path", [*ROUTES, "/auth/revoke"])
def test_a_route_that_takes_no_list_takes_16_kilobytes(live_api: LiveApi, path: str) -> None:
    """A larger body only gets the error that it is too large; a list of events may be larger."""
    within, beyond = (b'{"x": 1}'.ljust(size) for size in (SMALL_BODY_BYTES, SMALL_BODY_BYTES + 1))
    assert_refused(post(live_api, path, within), 422, "VALIDATION_ERROR")
    assert_refused(post(live_api, path, beyond), 413, "PAYLOAD_TOO_LARGE")
    assert_refused(post(live_api, "/mastery/ingest", beyond), 422, "VALIDATION_ERROR")


STUDENT_IDS: list[Any] = [
    *(None, 5, 1.5, True, [], ["s-1"], {}),
    *("", " ", "s 1", "a/b", "../../etc/passwd", "s-1\n", "s-1\x00", "s-1}{t-2", "*", "s:1"),
    *("schüler", "１２３", "x" * 51, "x" * 10_000),
]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("student_id", STUDENT_IDS, ids=lambda student_id: repr(student_id)[:30])
def test_student_ids(live_api: LiveApi, path: str, student_id: Any) -> None:
    """An id is text of 1 to 50 letters, digits, _ or -; nothing else gets into a key, a path or a log."""
    details = assert_refused(post(live_api, path, json.dumps({"student_id": student_id})), 422, "VALIDATION_ERROR")
    assert list(details) == ["student_id"]


WRONG_VALUES: dict[tuple[str, str], list[Any]] = {
    ("/mastery/query", "include_components"): ["true", 1, 0, None, "yes", []],
    ("/mastery/query", "date"): [20261028, 0, True, [], "28.10.2026", "20261028", "2026-W44-3", "2026-10-28\n"],
    ("/mastery/calculate", "components"): [None, [], 1, "quiz", True],
    ("/mastery/calculate", "components.quiz"): ["0.5", "", True, [], {}, -0.1, 1.1, 1e308, 10**19, 10**30],
    ("/mastery/calculate", "components.grit"): [0.5, None],
    ("/mastery/calculate", "weights"): [None, [], 1, "quiz"],
    ("/mastery/calculate", "weights.quiz"): ["0.3", True, None, [], -0.3, 1.1],
}


@pytest.mark.parametrize(
    ("path", "field", "value"), [(path, field, value) for (path, field), values in WRONG_VALUES.items() for value in values]
)
def test_wrong_types(live_api: LiveApi, path: str, field: str, value: Any) -> None:
    """Text for numbers, numbers for text, booleans for either: nothing is converted, and the field is named."""
    outer, _, inner = field.partition(".")
    body = json.dumps({"student_id": "s-1", outer: {inner: value} if inner else value})
    assert list(assert_refused(post(live_api, path, body), 422, "VALIDATION_ERROR")) == [field]


def test_duplicate_keys(live_api: LiveApi) -> None:
    """The last of duplicate keys counts, for validation and for the response."""
    answer = post(live_api, "/mastery/calculate", b'{"student_id": "../x", "student_id": "s-2", "components": {}}')
    assert answer.json()["data"]["student_id"] == "s-2"


@pytest.mark.parametrize("path", ROUTES)
def test_10_megabytes(live_api: LiveApi, path: str) -> None:
    """A body that is too large gets 413, with a length or in chunks, and the connection serves the next request."""
    with requests.Session() as session:
        session.headers.update(live_api.authorization() | {"Content-Type": "application/json"})
        for body in (LARGE, chunks(LARGE), LARGE + b" " * 2):
            assert_refused(session.post(live_api.url + path, data=body, timeout=30), 413, "PAYLOAD_TOO_LARGE")
        assert session.get(f"{live_api.url}/health", timeout=30).status_code == 200


def test_a_chunked_body_is_not_cut_to_the_limit(live_api: LiveApi) -> None:
    """A valid object that ends at the limit, and then more data: rejected, not truncated."""
    limit = SMALL_BODY_BYTES
    body = b'{"student_id": "s-1", "components": {}}'.ljust(limit) + b"more"
    assert_refused(post(live_api, "/mastery/calculate", chunks(body)), 413, "PAYLOAD_TOO_LARGE")
    assert post(live_api, "/mastery/calculate", chunks(body[:limit])).status_code == 200


def chunks(body: bytes) -> Iterator[bytes]:
    """The body in pieces, so that ``requests`` cannot send its length."""
    return (body[start : start + 65_536] for start in range(0, len(body), 65_536))


@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP", "identity, gzip"])
def test_a_body_that_is_encoded(live_api: LiveApi, coding: str) -> None:
    """It is neither decoded nor accepted, whatever it looks like."""
    headers = live_api.authorization() | {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = requests.post(f"{live_api.url}/mastery/query", b'{"student_id": "s-1"}', headers=headers, timeout=30)
    assert_refused(answer, 415, "MALFORMED_REQUEST")
    assert "compressed" in answer.json()["error"]["message"]


@pytest.mark.parametrize("codings", ["gzip, chunked", "gzip, Chunked"])
def test_chunks_of_what_is_compressed(live_api: LiveApi, codings: str) -> None:
    """The same."""
    request = f"Transfer-Encoding: {codings}\r\n\r\n15\r\n" + '{"student_id": "s-1"}' + "\r\n0\r\n\r\n"
    assert talk(live_api, request.encode()).startswith("HTTP/1.1 415 ")


def talk(
    live_api: LiveApi, request: bytes, *, path: str = "/mastery/query", token: bool = True, half_close: bool = False
) -> str:
    """Send raw headers and body over a socket, all of it before reading; returns the response."""
    host, _, port = live_api.url.removeprefix("http://").partition(":")
    authorization = f"Authorization: {live_api.authorization()['Authorization']}\r\n" if token else ""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n{authorization}"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode() + request)  # raises when the service stops listening
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b"")).decode()


@pytest.mark.parametrize(
    ("status", "code", "path", "token"),
    [
        (413, "PAYLOAD_TOO_LARGE", "/mastery/query", True),
        (401, "AUTH_ERROR", "/mastery/query", False),
        (404, "NOT_FOUND", "/nowhere", True),
        (405, "MALFORMED_REQUEST", "/health", True),
    ],
)
def test_a_client_that_sends_first_and_listens_then(live_api: LiveApi, status: int, code: str, path: str, token: bool) -> None:
    """A client that reads only after it sent 10 MB still gets its response; the connection is not reset."""
    request = f"Content-Length: {len(LARGE)}\r\n\r\n".encode() + LARGE
    answer = talk(live_api, request, path=path, token=token)
    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert json.loads(answer.partition("\r\n\r\n")[2])["error"]["code"] == code


@pytest.mark.parametrize(
    "request_",
    [
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"Content-Length: 100\r\n\r\n{}",
    ],
)
@pytest.mark.parametrize("half_close", [True, False])
def test_bodies_that_do_not_arrive_whole(live_api: LiveApi, request_: bytes, half_close: bool) -> None:
    """Broken chunks, or less than announced: 400, or 408 if the client goes silent instead of closing."""
    answer = talk(live_api, request_, half_close=half_close)
    is_broken = b"zz" in request_ or b"{}{}" in request_
    assert answer.startswith("HTTP/1.1 400 " if is_broken or half_close else "HTTP/1.1 408 ")
    assert json.loads(answer.partition("\r\n\r\n")[2])["error"]["code"] == "MALFORMED_REQUEST"


@pytest.mark.parametrize("begun", [b"GET /health HT", b"POST /mastery/query HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_clients_that_fall_silent_in_the_middle_of_a_request(live_api: LiveApi, begun: bytes) -> None:
    """More of them than there are threads block others no longer than the timeout."""
    host, _, port = live_api.url.removeprefix("http://").partition(":")
    with ExitStack() as silent:
        for _ in range(live_api.stack.settings.http_threads + 1):
            silent.enter_context(socket.create_connection((host, int(port)), timeout=30)).sendall(begun)
        time.sleep(0.5)  # until each is read
        assert requests.get(f"{live_api.url}/health", timeout=PATIENCE_SECONDS).status_code == 200


def test_clients_that_do_not_close_hold_up_nobody(live_api: LiveApi) -> None:
    """Each gets a response that closes the connection, and time to read it."""
    host, _, port = live_api.url.removeprefix("http://").partition(":")
    with ExitStack() as idle:
        for _ in range(live_api.stack.settings.http_threads - 1):
            client = idle.enter_context(socket.create_connection((host, int(port)), timeout=30))
            client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert requests.get(f"{live_api.url}/health", timeout=PATIENCE_SECONDS).status_code == 200
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 ")


def test_what_is_no_request_is_not_quoted_in_the_log(live_api: LiveApi) -> None:
    """The server rejects it before the application; the log has the error, and no personal data."""
    answer = talk(live_api, b"\r\n", path="/audit?student_id=s-604916&note=M\u00fcller")
    assert answer.startswith("HTTP/1.1 400 ")
    wait_for(lambda: "a request cannot be read: Invalid" in live_api.stack.log(), 10)
    assert "s-604916" not in live_api.stack.log()
