"""A chunk: the valid records of one read, up to a megabyte of them, recorded by one task. See docs/decisions/0002.

It carries the records as they came, with their place in Kafka, so that whatever becomes of one event its source is known.
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

# A chunk passes through Redis and the memory of two processes. 500 ordinary events are 165 KB; only odd ones reach this.
MAX_BYTES = 1_000_000

T = TypeVar("T")


class SourceRecord(NamedTuple):
    """One record as it came. ``replays`` and ``traceparent`` are those of its headers."""

    partition: int
    offset: int
    value: bytes
    replays: int = 0
    traceparent: str = ""


class Chunk(NamedTuple):
    """Records taken over from a source, a topic, at one moment, which is the one they are judged by."""

    source: str
    accepted_at: datetime
    records: Sequence[SourceRecord]


UNREADABLE = (zstd.ZstdError, msgspec.DecodeError)  # what is raised for bytes that are no chunk

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[str, datetime, list[SourceRecord]])


def split(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """The items in their order, in groups of at most ``MAX_BYTES`` together, or a single larger one."""
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
    """The chunk as compressed msgpack, a sixth of its size: it is written to Redis and its append-only file."""
    return zstd.compress(_encoder.encode(chunk))


def decode_chunk(encoded: bytes) -> Chunk:
    """The chunk that was encoded. Raises one of ``UNREADABLE`` for anything else."""
    return Chunk(*_decoder.decode(zstd.decompress(encoded)))
