"""A chunk: the valid records of one read from Kafka, recorded by one task. See docs/decisions/0002.

It carries the records as they came, with their place in Kafka, so that whatever becomes of one event its source is known.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec


class SourceRecord(NamedTuple):
    """One record of the events topic."""

    partition: int
    offset: int
    value: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[SourceRecord])


def encode_chunk(records: Sequence[SourceRecord]) -> bytes:
    """The records as msgpack: an array of [partition, offset, value]."""
    return _encoder.encode(records)


def decode_chunk(chunk: bytes) -> list[SourceRecord]:
    """The records of an encoded chunk. Raises msgspec.DecodeError for anything else."""
    return _decoder.decode(chunk)
