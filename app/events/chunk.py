"""A chunk: the valid records of one read from Kafka, up to a megabyte of them, recorded by one task. See docs/decisions/0002.

It carries the records as they came, with their place in Kafka, so that whatever becomes of one event its source is known.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

# A chunk passes through Redis and the memory of three processes. 500 ordinary events are 165 KB; only odd ones reach this.
MAX_BYTES = 1_000_000


class SourceRecord(NamedTuple):
    """One record of the events topic."""

    partition: int
    offset: int
    value: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[SourceRecord])


def split(records: Iterable[SourceRecord]) -> Iterator[list[SourceRecord]]:
    """The records in their order, in groups whose values are at most ``MAX_BYTES``, or a single larger one."""
    group: list[SourceRecord] = []
    size = 0
    for record in records:
        if group and size + len(record.value) > MAX_BYTES:
            yield group
            group, size = [], 0
        group.append(record)
        size += len(record.value)
    if group:
        yield group


def encode_chunk(records: Sequence[SourceRecord]) -> bytes:
    """The records as msgpack: an array of [partition, offset, value]."""
    return _encoder.encode(records)


def decode_chunk(chunk: bytes) -> list[SourceRecord]:
    """The records of an encoded chunk. Raises msgspec.DecodeError for anything else."""
    return _decoder.decode(chunk)
