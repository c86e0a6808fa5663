"""A chunk: up to a megabyte of valid records of one read, recorded by one task. See docs/decisions/0002.

It contains the unmodified records with their Kafka offsets, so that every failure can name its source record.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

import msgspec

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# A chunk passes through Redis and the memory of two processes. 500 ordinary events are 165 KB, far below this limit.
MAX_BYTES = 1_000_000

T = TypeVar("T")


class SourceRecord(NamedTuple):
    """One unmodified record. ``replays`` and ``traceparent`` come from its headers."""

    partition: int
    offset: int
    value: bytes
    replays: int = 0
    traceparent: str = ""


class Chunk(NamedTuple):
    """Records accepted from a source topic. ``accepted_at`` is the current time for their validation."""

    source: str
    accepted_at: datetime
    records: Sequence[SourceRecord]


UNREADABLE = (zstd.ZstdError, msgspec.DecodeError)  # raised by decode_chunk for other bytes

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[str, datetime, list[SourceRecord]])


def split(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Split items, in order, into groups of at most ``MAX_BYTES``; a larger item gets a group of its own."""
    group: list[T] = []
    total = 0
    for item in items:
        if group and total + size(item) > MAX_BYTES:
            yield group
            group, total = [], 0
        group.append(item)
        total += size(item)
    if group:
        yield group


def encode_chunk(chunk: Chunk) -> bytes:
    """Encode a chunk as compressed msgpack, a sixth of the size, since Redis also writes it to its append-only file."""
    return zstd.compress(_encoder.encode(chunk))


def decode_chunk(encoded: bytes) -> Chunk:
    """Decode a chunk. Raises one of ``UNREADABLE`` for other bytes."""
    return Chunk(*_decoder.decode(zstd.decompress(encoded)))
