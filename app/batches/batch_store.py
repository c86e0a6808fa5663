"""Batches in Redis: their orders, chunks, results and state. See docs/decisions/0021."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import redis

from app.batches.batch import CHUNK_STUDENTS, Batch, BatchKey, BatchOrder, BatchStatus, Item, Rejection, Summarized, moment
from app.batches.batch_errors import require_room, require_same, require_stored
from app.batches.batch_fields import UNKNOWN_TOTAL, decode_batch, decode_order, has_callback, owner_of
from app.batches.batch_kinds import Row
from app.config.quotas import Quotas
from app.errors import NotFound
from app.storage.keys import Keys
from app.storage.overdue import OverdueClaims
from app.storage.scripts import load_script, slices

# How long a task may hold a chunk before another takes it too: a hundred times what it needs on an idle machine.
LEASE_SECONDS = 20.0
# What a batch without students counts in the quota: its record takes as much memory as so many results.
OWN_STUDENTS = 20

_rejections = msgspec.json.Decoder(list[Rejection])
_items = msgspec.msgpack.Decoder(list[Item])
_rows = msgspec.msgpack.Decoder(list[Row])


class BatchQuotas(NamedTuple):
    """The students that a tenant's stored batches may have, and how many of its batches may run."""

    students: Quotas
    running: Quotas


class Left(StrEnum):
    """What a task finds that asks a batch for a chunk."""

    ENDED = "ended"  # there is no such batch, or it has ended
    UNRESOLVED = "unresolved"  # its students are not known yet
    NOTHING = "nothing"  # other tasks have all the chunks that are left, or end the batch
    DONE = "done"  # all chunks are computed, and the task has to end the batch
    CHUNK = "chunk"


class Then(IntEnum):
    """What a task has to do when it has stored the results of a chunk."""

    STOP = 0
    GO_ON = 1  # there are chunks left
    END = 2  # end the batch


class Taken(NamedTuple):
    """What a task found, the order, and the chunk: its number, its students, and how often it was taken.

    ``erased`` is how many students of the batch were erased until then.
    """

    left: Left
    order: BatchOrder | None = None
    number: int = 0
    items: Sequence[Item] = ()
    attempts: int = 0
    erased: int = 0


class BatchStore:
    """The batches of all tenants. Raises DependencyUnavailable when Redis does not answer; all calls may be repeated."""

    def __init__(self, client: redis.Redis, key_prefix: str, quotas: BatchQuotas) -> None:
        self._redis = client
        self._keys = keys = Keys(key_prefix)
        self._quotas = quotas
        self._running, self._stored = keys.batches_running(), keys.batches_stored()
        self._overdue, self._kept = OverdueClaims(client, self._running), OverdueClaims(client, self._stored)
        folder = Path(__file__).parent
        self._create = load_script(client, folder / "create_batch.lua")
        self._resolve = load_script(client, folder / "resolve_batch.lua")
        self._take = load_script(client, folder / "take_chunk.lua")
        self._store = load_script(client, folder / "store_chunk.lua")
        self._end = load_script(client, folder / "end_batch.lua")
        self._store_summary = load_script(client, folder / "store_summary.lua")
        self._delete = load_script(client, folder / "delete_batch.lua")
        self._schedule_callback = load_script(client, folder / "schedule_callback.lua")

    def create(
        self,
        key: BatchKey,
        order: BatchOrder,
        request: bytes,
        now: datetime,
        *,
        items: Sequence[Item] | None = None,
        rejected: Sequence[Rejection] = (),
        erasures: int | None = None,
    ) -> bool:
        """Store a batch. ``request`` identifies the request, ``items`` are None if a task has to find the students.

        ``erasures`` is what the method of this name returned before the students were checked; None if that was not before now.
        Raises BatchTaken if the id belongs to another request, OverBatchQuota and TooManyBatches beyond the quotas, and
        ErasedMeanwhile.

        Returns:
            Whether the batch is new; False if the same request created it already.
        """
        held, students, running, erasures_now = self._existing(key)
        if held is not None:
            require_same(held, request)
            return False
        quota, most = self._quotas.students.of(key.tenant), self._quotas.running.of(key.tenant)
        total = UNKNOWN_TOTAL if items is None else len(items)
        counted = max(total, 0) + len(rejected) + OWN_STUDENTS
        require_room(quota, most, students + counted, running + 1)  # before anything is written
        self.touch(key)  # before the batch: one that no sweep finds might never end
        self._kept.touch(str(key), _milliseconds(now))
        texts = [msgspec.json.encode(order), msgspec.json.encode(rejected) if rejected else b""]
        checked = erasures_now if erasures is None else erasures
        arguments: list[Any] = [key.batch_id, request, *texts, total, counted, quota, most, checked, *_chunks(items or ())]
        reply = self._create(self._names(key, order.owner), arguments)
        require_stored(cast("int", reply), quota, most)
        return bool(reply)

    def _names(self, key: BatchKey, owner: str) -> list[str]:
        """The keys of create_batch.lua."""
        keys = self._keys
        names = [keys.batch(*key), keys.batches(key.tenant, owner), *self._chunk_keys(key), keys.batch_number(key.tenant)]
        return [*names, keys.batch_usage(key.tenant), keys.batch_rejected(*key)]

    def exists(self, key: BatchKey, request: bytes) -> bool:
        """Whether there is the batch of a request. Raises BatchTaken if there is one of another request."""
        held = self._existing(key)[0]
        if held is not None:
            require_same(held, request)
        return held is not None

    def _existing(self, key: BatchKey) -> tuple[bytes | None, int, int, int]:
        """What identifies the batch's request; the tenant's students in stored batches, batches that run, and erasures."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hget(self._keys.batch(*key), "request")
        pipeline.hmget(self._keys.batch_usage(key.tenant), ["students", "running", "erasures"])
        held, (students, running, erasures) = pipeline.execute()
        return held, int(students or 0), int(running or 0), int(erasures or 0)

    def erasures(self, tenant: str) -> int:
        """How often students were erased from the tenant's batches, for who reads students now and stores them later."""
        return int(cast("bytes | None", self._redis.hget(self._keys.batch_usage(tenant), "erasures")) or 0)

    def resolve(self, key: BatchKey, students: Sequence[str], erasures: int) -> bool:
        """Give a batch its students, once; ``erasures`` is of before they were read. Raises OverBatchQuota, ErasedMeanwhile.

        Returns:
            False if the batch has ended.
        """
        quota = self._quotas.students.of(key.tenant)
        keys = [self._keys.batch(*key), *self._chunk_keys(key), self._keys.batch_usage(key.tenant)]
        reply = cast("int", self._resolve(keys, [len(students), quota, erasures, *_chunks(map(Item, students))]))
        require_stored(reply, quota)
        return bool(reply)

    def take(self, key: BatchKey, task_id: str, retries: int = 0) -> Taken:
        """Take a chunk for a task, or say what is left. A task that is retried or delivered again gets its chunk again."""
        keys = [self._keys.batch(*key), *self._chunk_keys(key)]
        left, *found = cast("list[bytes]", self._take(keys, [task_id, _lease(), retries]))
        order = decode_order(found[0]) if found and found[0] else None
        if Left(left.decode()) is not Left.CHUNK:
            return Taken(Left(left.decode()), order)
        return Taken(Left.CHUNK, order, int(found[1]), _items.decode(found[2]), int(found[3]), int(found[4]))

    def store(self, key: BatchKey, task_id: str, number: int, rows: Sequence[Row], erased: int = 0) -> Then:
        """Store the results of a chunk, unless another task did. ``erased`` is what ``take`` returned with it.

        Returns:
            What the task has to do then.
        """
        succeeded = sum(not row.error for row in rows)
        failed = sum(bool(row.error) and not row.is_erased for row in rows)
        keys = [self._keys.batch(*key), *self._chunk_keys(key), self._keys.batch_results(*key)]
        arguments: list[Any] = [task_id, number, msgspec.msgpack.encode(rows), succeeded, failed, _lease(), erased]
        return Then(cast("int", self._store(keys, arguments)))

    def end(self, key: BatchKey, status: BatchStatus, *, reason: str = "", summarized: Summarized | None = None) -> bool:
        """End a batch. Raises ErasedMeanwhile if more students were erased since it was summarized.

        Returns:
            False if it had ended already, or there is none.
        """
        keys = [self._keys.batch(*key), *self._chunk_keys(key), self._keys.batch_usage(key.tenant)]
        ended = cast("int", self._end(keys, [status.value, reason, *_summary(summarized)]))
        require_stored(ended, 0)
        self.forget(key)
        return bool(ended)

    def store_summary(self, key: BatchKey, summarized: Summarized) -> bool:
        """Store the summary of a batch that has ended. Returns False if more students were erased since it was summarized."""
        return bool(self._store_summary([self._keys.batch(*key)], _summary(summarized)))

    def touch(self, key: BatchKey) -> None:
        """Note that a batch is being worked on."""
        self._overdue.touch(str(key))

    def forget(self, key: BatchKey) -> None:
        """Note that a batch does not run: there is none, or it has ended. Its callback is due then, unless that is done.

        Until this is noted, the sweep finds the batch, and notes it again.
        """
        order, outcome = cast("list[bytes | None]", self._redis.hmget(self._keys.batch(*key), ["order", "callback"]))
        if order and not outcome and has_callback(order):
            self._schedule_callback([self._keys.callbacks()], [str(key)])
        self._redis.zrem(self._running, str(key))

    def running(self) -> int:
        """The number of batches that run."""
        return self._redis.zcard(self._running)

    def claim_overdue(self, seconds: float, limit: int, excluding: Iterable[str] = ()) -> list[str]:
        """Claim running batches without activity for ``seconds``; see ``OverdueClaims.claim``."""
        return self._overdue.claim(seconds, limit, excluding)

    def stored_before(self, limit: datetime, count: int) -> list[tuple[BatchKey, datetime]]:
        """Up to ``count`` batches that were created, or kept, before a moment, and when; oldest first."""
        found = self._redis.zrangebyscore(self._stored, "-inf", _milliseconds(limit), start=0, num=count, withscores=True)
        pairs = cast("list[tuple[bytes, float]]", found)
        return [(BatchKey.parse(name.decode()), moment(int(since))) for name, since in pairs]

    def keep(self, key: BatchKey, since: datetime) -> None:
        """Keep a batch as if it was created at this moment."""
        self._kept.touch(str(key), _milliseconds(since))

    def delete(self, key: BatchKey, since: datetime) -> None:
        """Delete a batch with its results. ``since`` is when it was created or kept, as far as the caller knows."""
        keys, order = self._keys, cast("bytes | None", self._redis.hget(self._keys.batch(*key), "order"))
        names = [keys.batch(*key), keys.batches(key.tenant, owner_of(order) if order else ""), keys.batch_results(*key)]
        names += [keys.batch_usage(key.tenant), keys.batch_rejected(*key), *self._chunk_keys(key)]
        self._delete(names, [key.batch_id])
        self.forget(key)
        self._kept.release(str(key), _milliseconds(since))  # last, so that an interrupted call is repeated

    def read(self, key: BatchKey) -> Batch:
        """A batch and its state. Raises NotFound."""
        return decode_batch(key.batch_id, cast("dict[bytes, bytes]", self._redis.hgetall(self._keys.batch(*key))))

    def rejected(self, key: BatchKey) -> list[Rejection]:
        """The listed students who are not part of a batch."""
        text = cast("bytes | None", self._redis.get(self._keys.batch_rejected(*key)))
        return _rejections.decode(text) if text else []

    def of_owner(self, tenant: str, owner: str, *, before: int | None, limit: int) -> tuple[list[Batch], int | None]:
        """Up to ``limit`` batches of a caller, newest first, with numbers below ``before``.

        Returns:
            The batches, and the number from which the next page continues; None at the end.
        """
        names = self._keys.batches(tenant, owner)
        highest = "+inf" if before is None else f"({before}"
        found = self._redis.zrevrangebyscore(names, highest, "-inf", start=0, num=limit + 1, withscores=True)
        page = cast("list[tuple[bytes, float]]", found)
        pipeline = self._redis.pipeline(transaction=False)
        for name, _number in page[:limit]:
            pipeline.hgetall(self._keys.batch(tenant, name.decode()))
        batches = []
        for (name, _), fields in zip(page, pipeline.execute(), strict=False):
            with suppress(NotFound):  # it was removed meanwhile, or is of another version
                batches.append(decode_batch(name.decode(), fields))
        return batches, int(page[limit - 1][1]) if len(page) > limit else None

    def rows(self, key: BatchKey, numbers: Sequence[int]) -> list[list[Row] | None]:
        """The results of chunks; None for a chunk that was not computed."""
        if not numbers:
            return []
        found = cast("list[bytes | None]", self._redis.hmget(self._keys.batch_results(*key), [str(each) for each in numbers]))
        return [None if packed is None else _rows.decode(packed) for packed in found]

    def _chunk_keys(self, key: BatchKey) -> tuple[str, str]:
        return self._keys.batch_chunks(*key), self._keys.batch_due(*key)


def _summary(summarized: Summarized | None) -> list[Any]:
    """The last arguments of end_batch.lua, and those of store_summary.lua."""
    if summarized is None:
        return [b"", "", ""]
    summary = summarized.summary
    return [msgspec.json.encode(summary) if summary else b"", summarized.basis, summarized.erased]


def _lease() -> int:
    return round(LEASE_SECONDS * 1000)


def _chunks(items: Iterable[Item]) -> Iterator[bytes]:
    return (msgspec.msgpack.encode(some) for some in slices(items, CHUNK_STUDENTS))


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)
