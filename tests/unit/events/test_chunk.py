"""A chunk can be encoded and decoded without a change."""

import pytest

from app.events.chunk import MAX_BYTES, UNREADABLE, Chunk, SourceRecord, decode_chunk, encode_chunk, split
from tests.conftest import NOW


def test_records_survive_the_journey() -> None:
    """Any bytes, partition, offset and time are preserved."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    records = [SourceRecord(0, 0, b"{}"), SourceRecord(3, 2**40, b"\xff\x00", replays=2, traceparent=trace)]
    chunk = Chunk("mastery.events", NOW.replace(microsecond=123_456), records)
    assert decode_chunk(encode_chunk(chunk)) == chunk


def test_anything_else_is_refused() -> None:
    """Other bytes are not decoded as a chunk."""
    with pytest.raises(UNREADABLE):
        decode_chunk(b"\x93\x01")


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ([], []),
        ([1, 2, 3], [[1, 2, 3]]),
        ([MAX_BYTES - 1, 1, 1], [[MAX_BYTES - 1, 1], [1]]),
        ([5, MAX_BYTES + 1, 5], [[5], [MAX_BYTES + 1], [5]]),
    ],
)
def test_a_chunk_has_a_bound_in_bytes(sizes: list[int], groups: list[list[int]]) -> None:
    """Five hundred of the largest records are split into several tasks."""
    records = [SourceRecord(0, offset, b"x" * size) for offset, size in enumerate(sizes)]
    assert [[len(record.value) for record in group] for group in split(records, lambda record: len(record.value))] == groups
