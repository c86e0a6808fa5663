"""A chunk travels as bytes and comes out as it went in."""

import msgspec
import pytest

from app.events.chunk import SourceRecord, decode_chunk, encode_chunk


def test_records_survive_the_journey() -> None:
    """Any bytes, any place."""
    records = [SourceRecord(0, 0, b"{}"), SourceRecord(3, 2**40, b"\xff\x00")]
    assert decode_chunk(encode_chunk(records)) == records


def test_anything_else_is_refused() -> None:
    """What is no chunk does not pass for one."""
    with pytest.raises(msgspec.DecodeError):
        decode_chunk(b"\x93\x01")
