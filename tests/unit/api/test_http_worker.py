"""What gunicorn's parser gets to read, and what it costs."""

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

from api.http_worker import PIECE_BYTES, RequestPieces

POST = b"POST /x HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("used_up", "request_"),
    [
        (True, POST + b"Content-Length: 5\r\n\r\n12345"),
        (True, POST + b"Content-Length: 20000\r\n\r\n" + b"x" * 20_000),
        (True, POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nX\r\n" * 5000 + b"0\r\n\r\n"),
        (False, POST + b"Content-Length: 9999999999999999\r\n\r\n12345"),
        (False, POST + b"Content-Length: 5\r\n\r\n12345" + b"x" * PIECE_BYTES),
        (False, POST + b"\r\n" + b"x" * PIECE_BYTES),
    ],
)
def test_what_is_left_or_missing_is_noticed(used_up: bool, request_: bytes) -> None:
    """If the parser finds another end of the request, the connection is closed."""
    pieces = RequestPieces(request_)
    parser = RequestParser(Config(), pieces, ("127.0.0.1", 1))
    next(parser)
    assert parser.finish_body()
    assert used_up == (not parser.unreader.take_buffered() and pieces.are_used_up)


def test_the_parser_never_holds_more_than_a_piece() -> None:
    """The parser copies its buffer for every chunk; for a whole request, the cost would be quadratic."""
    largest = max(len(piece) for piece in RequestPieces(b"x" * 100_000))
    assert largest == PIECE_BYTES
