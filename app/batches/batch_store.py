"""Batches in Redis: their orders, chunks, results and state. See docs/decisions/0021."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import redis

from app.batches.batch import CHUNK_STUDENTS, Batch, BatchOrder, BatchStatus, CallbackState, Item, Rejection, Summary, moment
from app.batches.batch_kinds import Row
from app.config.quotas import Quotas
from app.errors import EngineError, NotFound
from app.storage.keys import Keys
from app.storage.overdue import OverdueClaims
from app.storage.scripts import load_script, slices

# How long a task may hold a chunk before another takes it too: a hundred times what it needs on an idle machine.
LEASE_SECONDS = 20.0
# What a batch without students counts in the quota: its record takes as much memory as so many results.
OWN_STUDENTS = 20

_order = msgspec.json.Decoder(BatchOrder)
_summary = msgspec.json.Decoder(Summary)
_rejections = msgspec.json.Decoder(list[Rejection])
_items = msgspec.msgpack.Decoder(list[Item])
_rows = msgspec.msgpack.Decoder(list[Row])
_UNKNOWN = -1


class BatchTaken(EngineError):
    """The id belongs to a batch of another request."""


class OverBatchQuota(EngineError):
    """The tenant's stored batches have as many students as its quota allows."""

    def __init__(self, quota: int) -> None:
        super().__init__(quota)
        self.quota = quota

    def __str__(self) -> str:
        return f"the tenant's stored batches may have {self.quota:,} students; old ones are removed after a while"


class BatchKey(NamedTuple):
    """A batch of a tenant."""

    tenant: str
    batch_id: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.batch_id}"

    @classmethod
    def parse(cls, text: str) -> "BatchKey":
        """The key that ``str`` wrote."""
        tenant, _, batch_id = text.partition("/")
        return cls(tenant, batch_id)


class Left(StrEnum):
    """What a task finds that asks a batch for a chunk."""

    ENDED = "ended"  # there is no such batch, or it has ended
    UNRESOLVED = "unresolved"  # its students are not known yet
    NOTHING = "nothing"  # other tasks have all the chunks that are left
    DONE = "done"  # all chunks are computed
    CHUNK = "chunk"


class Taken(NamedTuple):
    """What a task found, the order, and the chunk: its number, its students, and how often it was taken."""

    left: Left
    order: BatchOrder | None = None
    number: int = 0
    items: Sequence[Item] = ()
    attempts: int = 0


class BatchStore:
    """The batches of all tenants. Raises DependencyUnavailable when Redis does not answer; all calls may be repeated."""

    def __init__(self, client: redis.Redis, key_prefix: str, quotas: Quotas) -> None:
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
    ) -> bool:
        """Store a batch. ``request`` identifies the request, ``items`` are None if a task has to find the students.

        Returns:
            Whether the batch is new; False if the same request created it already.

        Raises:
            BatchTaken: The id belongs to another request.
            OverBatchQuota: The tenant's quota is used up.
        """
        self.touch(key)  # first: a batch that no sweep finds might never end
        self._redis.zadd(self._stored, {str(key): _milliseconds(now)}, nx=True)
        total, quota, keys = _UNKNOWN if items is None else len(items), self._quotas.of(key.tenant), self._keys
        names = [keys.batch(*key), keys.batches(key.tenant, order.owner), *self._chunk_keys(key)]
        names += [keys.batch_number(key.tenant), keys.batch_students(key.tenant)]
        texts = [msgspec.json.encode(order), msgspec.json.encode(rejected)]
        counted = max(total, 0) + OWN_STUDENTS
        reply = self._create(names, [key.batch_id, request, *texts, total, counted, quota, *_chunks(items or ())])
        if reply == -1:
            raise BatchTaken("there is a batch with this id, of another request")
        if reply == -2:
            raise OverBatchQuota(quota)
        return bool(reply)

    def resolve(self, key: BatchKey, items: Sequence[Item]) -> bool:
        """Give a batch its students, once. Returns False if it has ended. Raises OverBatchQuota."""
        quota = self._quotas.of(key.tenant)
        keys = [self._keys.batch(*key), *self._chunk_keys(key), self._keys.batch_students(key.tenant)]
        reply = cast("int", self._resolve(keys, [len(items), quota, *_chunks(items)]))
        if reply < 0:
            raise OverBatchQuota(quota)
        return bool(reply)

    def take(self, key: BatchKey, task_id: str) -> Taken:
        """Take a chunk for a task, or say what is left. A task that is delivered again gets its chunk again."""
        keys = [self._keys.batch(*key), *self._chunk_keys(key)]
        left, *found = cast("list[bytes]", self._take(keys, [task_id, round(LEASE_SECONDS * 1000)]))
        order = _order.decode(found[0]) if found and found[0] else None
        if Left(left.decode()) is not Left.CHUNK:
            return Taken(Left(left.decode()), order)
        return Taken(Left.CHUNK, order, int(found[1]), _items.decode(found[2]), int(found[3]))

    def store(self, key: BatchKey, task_id: str, number: int, rows: Sequence[Row]) -> bool:
        """Store the results of a chunk, unless another task did. Returns whether the batch runs and has chunks left."""
        failed = sum(bool(row.error) for row in rows)
        keys = [self._keys.batch(*key), *self._chunk_keys(key), self._keys.batch_results(*key)]
        arguments: list[Any] = [task_id, number, msgspec.msgpack.encode(rows), len(rows) - failed, failed]
        return bool(self._store(keys, arguments))

    def end(self, key: BatchKey, status: BatchStatus, *, reason: str = "", summary: Summary | None = None) -> bool:
        """End a batch. Returns False if it had ended already, or there is none."""
        keys = [self._keys.batch(*key), *self._chunk_keys(key)]
        ended = self._end(keys, [status.value, reason, msgspec.json.encode(summary) if summary else b""])
        self.forget(key)
        return bool(ended)

    def touch(self, key: BatchKey) -> None:
        """Note that a batch is being worked on."""
        self._overdue.touch(str(key))

    def forget(self, key: BatchKey) -> None:
        """Note that a batch does not run: there is none, or it has ended. Its callback is due then, unless that is done.

        Until this is noted, the sweep finds the batch, and notes it again.
        """
        order, outcome = cast("list[bytes | None]", self._redis.hmget(self._keys.batch(*key), ["order", "callback"]))
        if order and not outcome and _order.decode(order).callback_url:
            self._schedule_callback([self._keys.callbacks()], [str(key)])
        self._redis.zrem(self._running, str(key))

    def running(self) -> int:
        """The number of batches that run."""
        return self._redis.zcard(self._running)

    def claim_overdue(self, seconds: float, limit: int, excluding: Iterable[str] = ()) -> list[str]:
        """Claim running batches without activity for ``seconds``; see ``OverdueClaims.claim``."""
        return self._overdue.claim(seconds, limit, excluding)

    def stored_before(self, limit: datetime, count: int) -> list[BatchKey]:
        """Up to ``count`` batches that were created, or kept, before a moment, oldest first."""
        names = self._redis.zrangebyscore(self._stored, "-inf", _milliseconds(limit), start=0, num=count)
        return [BatchKey.parse(name.decode()) for name in cast("list[bytes]", names)]

    def keep(self, key: BatchKey, since: datetime) -> None:
        """Keep a batch as if it was created at this moment."""
        self._kept.touch(str(key), _milliseconds(since))

    def delete(self, key: BatchKey, owner: str) -> None:
        """Delete a batch with its results."""
        keys = self._keys
        owners = [keys.batch(*key), keys.batches(key.tenant, owner), keys.batch_results(*key), keys.batch_students(key.tenant)]
        self._delete(owners, [key.batch_id])
        self.drop(key)

    def drop(self, key: BatchKey) -> None:
        """Forget a batch that does not exist."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zrem(self._stored, str(key))
        pipeline.zrem(self._running, str(key))
        pipeline.execute()

    def read(self, key: BatchKey) -> Batch:
        """A batch and its state. Raises NotFound."""
        return _batch(key.batch_id, cast("dict[bytes, bytes]", self._redis.hgetall(self._keys.batch(*key))))

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
        batches = [_batch(name.decode(), fields) for (name, _), fields in zip(page, pipeline.execute(), strict=False) if fields]
        return batches, int(page[limit - 1][1]) if len(page) > limit else None

    def rows(self, key: BatchKey, numbers: Sequence[int]) -> list[list[Row] | None]:
        """The results of chunks; None for a chunk that was not computed."""
        if not numbers:
            return []
        found = cast("list[bytes | None]", self._redis.hmget(self._keys.batch_results(*key), [str(each) for each in numbers]))
        return [None if packed is None else _rows.decode(packed) for packed in found]

    def _chunk_keys(self, key: BatchKey) -> tuple[str, str]:
        return self._keys.batch_chunks(*key), self._keys.batch_due(*key)


def _chunks(items: Sequence[Item]) -> Iterator[bytes]:
    return (msgspec.msgpack.encode(some) for some in slices(items, CHUNK_STUDENTS))


def _batch(batch_id: str, fields: dict[bytes, bytes]) -> Batch:
    if b"order" not in fields:
        raise NotFound("no such batch, or it has been removed")

    def when(name: bytes) -> datetime | None:
        return moment(int(fields[name])) if name in fields else None

    total, order = int(fields[b"total"]), _order.decode(fields[b"order"])
    callback = CallbackState(fields.get(b"callback", b"pending").decode()) if order.callback_url else None
    return Batch(
        batch_id=batch_id,
        order=order,
        status=BatchStatus(fields[b"status"].decode()),
        created=moment(int(fields[b"created"])),
        started=when(b"started"),
        finished=when(b"finished"),
        total=None if total == _UNKNOWN else total,
        succeeded=int(fields[b"succeeded"]),
        failed=int(fields[b"failed"]),
        reason=fields.get(b"reason", b"").decode(),
        summary=_summary.decode(fields[b"summary"]) if fields.get(b"summary") else None,
        rejected=_rejections.decode(fields[b"rejected"]),
        callback=callback,
    )


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)
