"""The ledger of accepted records: chunks in flight and dead letters to be delivered.

A record enters it exactly once: the same script advances the position of its source. A chunk stays until it is recorded; the
task that carries its id may be lost, the chunk is not. See docs/decisions/0008.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast
from uuid import uuid4

import msgspec
import redis

from app.errors import EngineError
from app.events.chunk import Chunk, decode_chunk, encode_chunk
from app.events.dead_letter import ErrorType, OutgoingDeadLetter
from app.events.event import decode_event
from app.events.event_quota import KEPT_SECONDS as MINUTE_KEPT_SECONDS
from app.events.event_quota import Use
from app.events.positions import NO_ID, Offset, Partition, TopicId
from app.storage.keys import Keys
from app.storage.overdue import OverdueClaims
from app.storage.redis_client import next_id
from app.storage.scripts import load_script

ChunkId: TypeAlias = str  # never reused: after a crash of Redis, a surviving worker must not find another chunk under its id

_letter = msgspec.msgpack.Decoder(OutgoingDeadLetter)
_DEAD_LETTERS = "dead-letters:"
CHUNKS_PER_CALL = 10  # that are read: a megabyte
# How long the end of a log without new letters is kept. Without an end, the whole topic is scanned; after a year it is gone.
KEPT_SECONDS = 365 * 86_400


class PositionConflict(EngineError):
    """The source's topic or position is not the expected one.

    The topic was recreated, another bridge accepted the records, or Redis lost its latest writes.
    """


class OverQuota(EngineError):
    """Tenants exceed their quotas. ``too_many`` are the excess new events, in the order of the uses."""

    def __init__(self, too_many: Sequence[int]) -> None:
        super().__init__(too_many)
        self.too_many = too_many

    def __str__(self) -> str:
        return f"{sum(self.too_many)} events are beyond their tenants' quotas"


class OffsetAdvance(NamedTuple):
    """A partition's position before (None: none yet) and after accepting records."""

    before: Offset | None
    after: Offset


class Depths(NamedTuple):
    """The number of chunks in flight, by lane."""

    ordinary: int
    bulk: int


class Accepted(NamedTuple):
    """The ids of the new chunks (None for a lane without valid records), and the number of chunks in flight."""

    chunk_id: ChunkId | None
    bulk_id: ChunkId | None
    depths: Depths


class Attempt(NamedTuple):
    """The task that processes a chunk, and the number of its earlier retries."""

    task_id: str
    retries: int


class Begun(NamedTuple):
    """A chunk in flight, and how many attempts died with their process."""

    chunk: Chunk
    deaths: int


class WaitingLetter(NamedTuple):
    """A dead letter to be delivered, and the id of its stream entry."""

    entry_id: str
    letter: OutgoingDeadLetter


class Counts(NamedTuple):
    """The number of accepted records, of dead letters by type, and of chunks in flight."""

    records: int
    dead_letters: dict[ErrorType, int]
    in_flight: int


class Ledger:
    """Chunks in flight and waiting dead letters. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = keys = Keys(key_prefix)
        self._chunks, self._due, self._attempts = keys.chunks(), keys.due(), keys.attempts()
        self._counters, self._letters = keys.counters(), keys.letters()
        self._bulk = keys.bulk()
        folder = Path(__file__).parent
        self._accept = load_script(client, folder / "accept_chunk.lua")
        self._begin = load_script(client, folder / "begin_chunk.lua")
        self._finish = load_script(client, folder / "finish_chunk.lua")
        self._overdue = OverdueClaims(client, self._due, self._bulk)

    def accept(
        self,
        chunk: Chunk,
        letters: Sequence[OutgoingDeadLetter] = (),
        *,
        bulk: Chunk | None = None,
        source: str = "",
        topic_id: TopicId = NO_ID,
        advances: Mapping[Partition, OffsetAdvance] | None = None,
        uses: Sequence[Use] = (),
    ) -> Accepted:
        """Accept all records of the chunks of both lanes and of the dead letters, or none.

        ``advances`` moves the positions of the source. ``uses`` counts events for quotas, one use per tenant and minute.

        Returns:
            The ids of the new chunks, and the chunks in flight.

        Raises:
            PositionConflict: The source has another topic id, or a partition another position than expected.
            OverQuota: A tenant exceeds its quota.
        """
        advances = advances or {}
        chunks = [(each, uuid4().hex) if each and each.records else (None, "") for each in (chunk, bulk)]
        arguments: list[Any] = [sum(len(each.records) for each, _ in chunks if each) + len(letters)]
        for each, chunk_id in chunks:
            arguments += [encode_chunk(each) if each else b"", chunk_id]
        arguments += [len(advances), topic_id, MINUTE_KEPT_SECONDS]
        for partition, (before, after) in advances.items():
            arguments += [partition, "" if before is None else before, after]
        arguments += [part for use in uses for part in (use.tenant, use.quota, use.new, use.counted)]
        arguments += _pairs(letters)
        keys = [self._keys.positions(source), self._chunks, self._due, self._counters, self._letters, self._bulk]
        keys += [self._keys.event_minute(use.minute) for use in uses]
        reply = cast("list[Any]", self._accept(keys, arguments))
        if not reply:
            raise PositionConflict("the topic was recreated, or another bridge accepted its records, or its position was lost")
        if reply[0] < 0:
            raise OverQuota(reply[1:])
        return Accepted(chunks[0][1] or None, chunks[1][1] or None, _depths(*reply))

    def begin(self, chunk_id: ChunkId, attempt: Attempt) -> Begun | None:
        """Begin an attempt at a chunk; None if the chunk is done."""
        keys = [self._chunks, self._due, self._attempts]
        reply = cast("list[Any]", self._begin(keys, [chunk_id, *attempt]))
        return Begun(decode_chunk(reply[0]), reply[1]) if reply else None

    def finish(
        self, chunk_id: ChunkId, *, chunks: Sequence[Chunk] = (), letters: Sequence[OutgoingDeadLetter] = ()
    ) -> list[ChunkId]:
        """Remove a chunk; unrecorded events continue as new chunks or dead letters. Returns the ids of the new chunks."""
        keys = [self._chunks, self._due, self._attempts, self._counters, self._letters, self._bulk]
        successors = [(uuid4().hex, encode_chunk(chunk)) for chunk in chunks]
        arguments = [chunk_id, len(chunks), *chain.from_iterable(successors), *_pairs(letters)]
        is_ended = self._finish(keys, arguments)
        return [successor for successor, _ in successors] if is_ended else []

    def claim_overdue(
        self, seconds: float, limit: int, excluding: Iterable[ChunkId] = (), *, in_bulk: bool = False
    ) -> list[ChunkId]:
        """Claim up to ``limit`` chunks of a lane without activity for ``seconds``, except those in ``excluding``.

        Returns:
            Their ids. A claimed chunk counts as active, so it is returned at most once in ``seconds``.
        """
        return self._overdue.claim(seconds, limit, excluding, in_subset=in_bulk)

    def holds(self, tenant: str, student_id: str | None, accepted_before: datetime, /) -> bool:
        """Whether a chunk in flight that was accepted before a moment has an event of a student (None: of any). Decodes all."""
        for _, encoded in self._redis.hscan_iter(self._chunks, count=CHUNKS_PER_CALL):
            chunk = decode_chunk(cast("bytes", encoded))
            if chunk.accepted_at < accepted_before and any(
                event.tenant_id == tenant and student_id in {None, event.student_id}
                for event, _ in (decode_event(record.value, chunk.accepted_at) for record in chunk.records)
            ):
                return True
        return False

    def is_in_flight(self, chunk_id: ChunkId) -> bool:
        """Whether a chunk is in flight."""
        return bool(self._redis.hexists(self._chunks, chunk_id))

    def in_flight(self) -> int:
        """The number of chunks in flight."""
        return self._redis.hlen(self._chunks)

    def depths(self) -> Depths:
        """The number of chunks in flight, by lane."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hlen(self._chunks)
        pipeline.scard(self._bulk)
        return _depths(*pipeline.execute())

    def counts(self) -> Counts:
        """The counters since the store was created."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hgetall(self._counters)
        pipeline.hlen(self._chunks)
        counters, in_flight = pipeline.execute()
        counted = {name.decode(): int(count) for name, count in counters.items()}
        letters = {
            ErrorType(name.removeprefix(_DEAD_LETTERS)): count
            for name, count in counted.items()
            if name.startswith(_DEAD_LETTERS)
        }
        return Counts(counted.get("records", 0), letters, in_flight)

    def last_letter(self) -> str | None:
        """The entry id of the newest waiting dead letter, if any."""
        last = cast("list[tuple[bytes, object]]", self._redis.xrevrange(self._letters, count=1))
        return last[0][0].decode() if last else None

    def letters_wait(self, until: str) -> bool:
        """Whether a dead letter up to this entry id still waits to be delivered."""
        return bool(self._redis.xrange(self._letters, max=until, count=1))

    def letters_waiting(self) -> int:
        """The number of dead letters to be delivered."""
        return self._redis.xlen(self._letters)

    def waiting_letters(self, limit: int) -> list[WaitingLetter]:
        """Up to ``limit`` of the oldest dead letters to be delivered."""
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self._redis.xrange(self._letters, count=limit))
        return [WaitingLetter(entry_id.decode(), _letter.decode(fields[b"letter"])) for entry_id, fields in entries]

    def letters_delivered(self, until: str, log: str, ends: Mapping[Partition, Offset]) -> None:
        """Remove delivered dead letters up to an entry id, and store the log's end offsets after them."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.xtrim(self._letters, minid=next_id(until), approximate=False)
        if ends:
            pipeline.hset(self._ends(log), mapping={str(partition): end for partition, end in ends.items()})
            pipeline.expire(self._ends(log), KEPT_SECONDS)
        pipeline.execute()

    def letters_end(self, log: str) -> dict[Partition, Offset]:
        """The end offsets of a dead-letter log after the last removed dead letters."""
        if not self._redis.exists(self._ends(log)) and self._redis.exists(self._keys.letters_delivered()):
            self._redis.renamenx(self._keys.letters_delivered(), self._ends(log))  # migrates the key of a single-log version
        return _offsets(cast("dict[bytes, bytes]", self._redis.hgetall(self._ends(log))))

    def _ends(self, log: str) -> str:
        return self._keys.letters_delivered(log)


def _depths(in_flight: int, bulk: int) -> Depths:
    return Depths(in_flight - bulk, bulk)


def _pairs(letters: Sequence[OutgoingDeadLetter]) -> list[Any]:
    return [part for letter in letters for part in (letter.error_type.value, msgspec.msgpack.encode(letter))]


def _offsets(fields: Mapping[bytes, bytes]) -> dict[Partition, Offset]:
    return {int(partition): int(offset) for partition, offset in fields.items()}
