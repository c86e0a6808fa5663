"""Finds where a request ends in the bytes of a connection (RFC 9112 section 6). The request is parsed elsewhere.

A malformed request counts as complete at once: the parser then rejects it, and the connection ends with that answer.
"""

import re
from enum import Enum, auto

_BLANK_LINE, _LINE = b"\r\n\r\n", b"\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*(?=\r\n)")
_HAS_LENGTH = b"\r\ncontent-length:"
_CHUNKED = b"\r\ntransfer-encoding:"
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)")
_IS_HTTP_1_0 = re.compile(rb"(\r\n)?[^\r\n]* http/1\.0\r\n")  # has no 100 Continue
_SIZE = re.compile(rb"([0-9a-f]{1,15})[ \t]*(;|\Z)", re.IGNORECASE)
# Clients normally send chunks of kilobytes. The parser copies up to 8 KB for each, so this many take tens of milliseconds.
MOST_CHUNKS = 10_000
_LONGEST_SIZE_LINE = 1024  # bytes; a size has few digits, and chunk extensions are not used in practice


class _Part(Enum):
    HEAD = auto()
    BODY = auto()
    CHUNKS = auto()
    TRAILERS = auto()


class Framing:
    """Finds the end of one request whose bytes arrive in pieces, in time linear in their number."""

    def __init__(self, max_head: int, max_body: int) -> None:
        self._max_head, self._max_body = max_head, max_body
        self._part = _Part.HEAD
        self._at = 0  # position up to which the bytes are processed
        self._body = 0  # position where the body begins
        self._decoded = 0  # bytes in the chunks so far
        self._chunks = 0
        self.expects_continue = False  # the client waits for 100 Continue before it sends the body (RFC 9110 10.1.1)
        self.is_cut = False  # too long or malformed: the rest cannot be separated from a next request

    def end(self, received: bytes | bytearray) -> int | None:
        """The length of the request in ``received`` (all bytes so far); None: it is not complete."""
        if self._part is _Part.HEAD and not self._reads_head(received):
            return None
        if self._part is _Part.BODY and not self.is_cut:
            return self._at if len(received) >= self._at else None
        while self._part is _Part.CHUNKS and not self.is_cut:
            if not self._reads_chunk(received):
                return None
        if self._part is _Part.TRAILERS and not self.is_cut:
            return self._end_of_trailers(received)
        return len(received)

    def _reads_head(self, received: bytes | bytearray) -> bool:
        start = 2 if received.startswith(_LINE) else 0  # one empty line before a request is ignored (RFC 9112 section 2.2)
        found = received.find(_BLANK_LINE, max(start, self._at - len(_BLANK_LINE)))
        if found < 0 or found > self._max_head:
            self._at = len(received)
            self.is_cut = found > 0 or len(received) > self._max_head
            return self.is_cut
        head = bytes(received[: found + len(_LINE)]).lower()
        self._at = self._body = found + len(_BLANK_LINE)
        self.expects_continue = _EXPECTS.search(head) is not None and not _IS_HTTP_1_0.match(head)
        if _CHUNKED in head:
            self._part = _Part.CHUNKS
        else:
            self._part = _Part.BODY
            length = _LENGTH.search(head)
            self._at += int(length[1]) if length else 0
            # The parser reads lengths that do not match the pattern here, so the request's end is unknown.
            is_unclear = length is None and _HAS_LENGTH in head
            self.is_cut = is_unclear or self._at - self._body > self._max_body
        return True

    def _reads_chunk(self, received: bytes | bytearray) -> bool:
        """Skip the next chunk if its size has arrived. Returns whether there may be more to process."""
        line_end = received.find(_LINE, self._at, self._at + _LONGEST_SIZE_LINE)
        if line_end < 0:
            self.is_cut = len(received) >= self._at + _LONGEST_SIZE_LINE
            return self.is_cut
        size = _SIZE.match(received[self._at : line_end])
        self._at = line_end + len(_LINE)
        if size is None:
            self.is_cut = True
        elif int(size[1], 16) == 0:
            self._part, self._at = _Part.TRAILERS, line_end
        else:
            self._at += int(size[1], 16) + len(_LINE)
            self._decoded += int(size[1], 16)
            self._chunks += 1
            # With chunks of one byte, the size lines take five times as much as the body.
            is_too_long = self._decoded > self._max_body or self._at - self._body > 6 * self._max_body
            self.is_cut = is_too_long or self._chunks > MOST_CHUNKS
        return True

    def _end_of_trailers(self, received: bytes | bytearray) -> int | None:
        found = received.find(_BLANK_LINE, self._at)
        if found < 0:
            self.is_cut = len(received) - self._at > self._max_head
            return len(received) if self.is_cut else None
        return found + len(_BLANK_LINE)
