"""Framing: where a request ends, however its bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.framing import MOST_CHUNKS, Framing

MAX_HEAD, MAX_BODY = 200, 50
POST = b"POST /x HTTP/1.1\r\nHost: x\r\n"
NEXT = b"GET /next HTTP/1.1\r\n\r\n"

REQUESTS = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    POST + b"Content-Length: 0\r\n\r\n",
    POST + b"content-length:\t5 \r\nX-A: 1\r\n\r\n12345",
    POST + b"X-Content-Length: 9\r\nContent-Length: 5\r\n\r\n1\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\nA;name=value\r\n0\r\n\r\n67890\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: Chunked\r\n\r\n1 \r\n1\r\n000\r\nX-Trailer: 1\r\nY: 2\r\n\r\n",
]
CUT = [
    b"x" * (MAX_HEAD + 1),
    b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD + b"\r\n\r\n",
    POST + b"Content-Length: 51\r\n\r\n",
    POST + b"Content-Length: 9999999999999999\r\n\r\n",
    POST + b"Content-Length: 0000000000000005\r\n\r\n12345",
    POST + b"Content-Length: +5\r\n\r\n12345",
    POST + b"Content-Length: 5, 5\r\n\r\n12345",
    POST + b"Content-Length:\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n33\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 1024,
    POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * 100 + b"\r\n1\r\n" * 60,
    POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: 1\r\n" * 50,
]


def framing() -> Framing:
    return Framing(MAX_HEAD, MAX_BODY)


@pytest.mark.parametrize("request_", REQUESTS)
@given(cuts=st.sets(st.integers(1, 150)))
def test_the_end_is_found_however_the_bytes_arrive(request_: bytes, cuts: set[int]) -> None:
    """The end is not found before the last byte is there, and never beyond it, whatever follows."""
    sought, everything = framing(), request_ + NEXT
    for at in sorted(cuts | {len(request_) - 1, len(everything)}):
        end = sought.end(everything[:at])
        assert end == (len(request_) if at >= len(request_) else None)
        if end is not None:
            break
    assert not sought.is_cut


@pytest.mark.parametrize("request_", CUT)
def test_what_is_broken_or_too_large_is_not_waited_for(request_: bytes) -> None:
    """Such a request counts as complete, and what comes after it is not taken for another request."""
    whole, piecemeal = framing(), framing()
    assert whole.end(request_) == len(request_)
    found = [piecemeal.end(request_[:at]) for at in range(1, len(request_) + 1)]
    assert whole.is_cut
    assert piecemeal.is_cut
    assert any(end is not None for end in found)


def test_chunks_are_counted() -> None:
    """The number of chunks is limited, since each costs the parser a copy, however small it is."""
    for count, is_cut in ((MOST_CHUNKS, False), (MOST_CHUNKS + 1, True)):
        sought = Framing(MAX_HEAD, 1_000_000)
        sent = POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nX\r\n" * count + b"0\r\n\r\n"
        assert sought.end(sent) == len(sent)
        assert is_cut == sought.is_cut


@given(data=st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    """No input raises an error, and no end lies beyond what has arrived."""
    sought = framing()
    for prefix in (b"", POST + b"Transfer-Encoding: chunked\r\n\r\n"):
        end = sought.end(prefix + data)
        assert end is None or 0 < end <= len(prefix + data) or not data


@pytest.mark.parametrize(("expects", "value"), [(True, b"100-continue"), (True, b"100-Continue "), (False, b"200-ok")])
def test_who_waits_for_a_word(expects: bool, value: bytes) -> None:
    """A client that sends ``Expect: 100-continue`` before its body is told to continue."""
    sought = framing()
    assert sought.end(POST + b"Expect: " + value + b"\r\nContent-Length: 5\r\n\r\n") is None
    assert expects == sought.expects_continue


@pytest.mark.parametrize("empty_line", [b"", b"\r\n"])
def test_http_1_0_knows_no_such_word(empty_line: bytes) -> None:
    """An HTTP/1.0 client would take 100 Continue for the response (RFC 9110 section 10.1.1)."""
    for version, expects in ((b"1.0", False), (b"1.1", True)):
        sought = framing()
        head = b"POST /x?a=http/1.0 HTTP/" + version + b"\r\nX: http/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        assert sought.end(empty_line + head) is None
        assert expects == sought.expects_continue
