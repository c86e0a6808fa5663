"""Erases students from the stored batches of a tenant. See docs/decisions/0021."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import redis

from app.batches.batch import CHUNK_STUDENTS, BatchKey, Item
from app.batches.batch_fields import UNKNOWN_TOTAL
from app.batches.batch_kinds import ERASED_ROW
from app.batches.batch_store import BatchStore
from app.batches.tenant_batches import batches_of_tenant
from app.storage.erased import Erased
from app.storage.keys import Keys
from app.storage.scripts import load_script, run_script, slices

# Batches whose sizes are read in one round trip, and chunks of them: a megabyte.
BATCHES_PER_READ, CHUNKS_PER_READ = 100, 40
# Up to so many students are searched in a packed chunk before it is decoded; for more, decoding is faster (0.1 ms).
FEW_STUDENTS = 10

_ERASED_ITEM: list[Any] = msgspec.to_builtins(Item(""))
_ERASED_ROW: list[Any] = msgspec.to_builtins(ERASED_ROW)
# Without types, so that rows of other versions keep what this one does not know. The first value of an item or a row is the
# student's id, the second one of a row the error.
_chunk = msgspec.msgpack.Decoder(list[list[Any]])


class _Sized(NamedTuple):
    """A batch, and the number of its students."""

    key: BatchKey
    total: int


class _Search:
    """Finds students in packed chunks."""

    def __init__(self, students: Sequence[str]) -> None:
        self._students = frozenset(students) - {""}
        self._packed = [msgspec.msgpack.encode(student) for student in self._students]

    def places(self, packed: bytes) -> tuple[list[list[Any]], list[int]]:
        """The decoded chunk, and at which positions it has the students; both empty if there is none."""
        if len(self._packed) <= FEW_STUDENTS and not any(each in packed for each in self._packed):
            return [], []
        chunk = _chunk.decode(packed)
        return chunk, [at for at, values in enumerate(chunk) if values[0] in self._students]


class BatchErasure:
    """Erases students from batches. Raises DependencyUnavailable when Redis does not answer; all calls may be repeated."""

    def __init__(self, client: redis.Redis, key_prefix: str, batches: BatchStore) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._batches = batches
        self._erase = load_script(client, Path(__file__).with_name("erase_from_chunk.lua"))

    def erase(self, tenant: str, students: Sequence[str]) -> Erased:
        """Erase students from the tenant's batches that exist now, also from those that run.

        In waiting chunks and in results an item without a student takes the place of each. Summaries that had one are removed:
        ``with_current_summary`` computes them anew. Erase the students' facts and their membership in cohorts before: a task
        that reads students later must not find them.

        Returns:
            How many places were erased; not done if another process changed a chunk or a batch at the same time.
        """
        search = _Search(students)
        self._refuse_known(tenant)  # before the batches are looked at
        count, is_done = 0, True
        for some in slices(sorted(batches_of_tenant(self._redis, self._keys, tenant)), BATCHES_PER_READ):
            for places in slices(_chunks(self._existing(some)), CHUNKS_PER_READ):
                erased = self._erase_from(places, search)
                count, is_done = count + erased.count, is_done and erased.is_done
        return Erased(count, is_done)

    def drop(self, tenant: str) -> int:
        """Delete all batches of a tenant, also those that run, because all of its students are erased. Returns how many."""
        self._refuse_known(tenant)
        found = batches_of_tenant(self._redis, self._keys, tenant)
        # Not those that do not exist: one may be about to be stored, and could not be found without what is noted of it.
        dropped = [each.key for some in slices(found, BATCHES_PER_READ) for each in self._existing(some)]
        for key in dropped:
            self._batches.delete(key, found[key])
        return len(dropped)

    def _refuse_known(self, tenant: str) -> None:
        """Let nobody store students of the tenant who were read until now; they must be read again."""
        self._redis.hincrby(self._keys.batch_usage(tenant), "erasures", 1)

    def _existing(self, batches: Iterable[BatchKey]) -> list[_Sized]:
        """Those that exist."""
        names = list(batches)
        pipeline = self._redis.pipeline(transaction=False)
        for key in names:
            pipeline.hget(self._keys.batch(*key), "total")
        return [_Sized(key, int(total)) for key, total in zip(names, pipeline.execute(), strict=True) if total is not None]

    def _erase_from(self, chunks: Sequence[tuple[BatchKey, int]], search: _Search) -> Erased:
        """Erase students from some chunks: first what is to be computed is read, then the results that take its place."""
        pipeline = self._redis.pipeline(transaction=False)
        for key, number in chunks:
            pipeline.hget(self._keys.batch_chunks(*key), str(number))
            pipeline.hget(self._keys.batch_results(*key), str(number))
        found = cast("list[bytes | None]", pipeline.execute())
        calls, counts = [], []
        for (key, number), items, rows in zip(chunks, found[::2], found[1::2], strict=True):
            waiting, computed = (self._keys.batch_chunks(*key), items, False), (self._keys.batch_results(*key), rows, True)
            for name, packed, is_computed in (waiting, computed):
                chunk, positions = search.places(packed) if packed else ([], [])
                if positions:
                    keys = [self._keys.batch(*key), name, self._keys.batch_due(*key)]
                    calls.append((keys, [number, packed, *_without(chunk, positions, is_computed=is_computed)]))
                    counts.append(len(positions))
        replies = run_script(self._redis, self._erase, calls)
        return Erased(sum(count for count, reply in zip(counts, replies, strict=True) if reply), all(replies))


def _chunks(batches: Iterable[_Sized]) -> Iterator[tuple[BatchKey, int]]:
    """The chunks of batches, by number; none of a batch whose students are not known."""
    for key, total in batches:
        if total != UNKNOWN_TOTAL:
            for number in range(-(-total // CHUNK_STUDENTS)):
                yield key, number


def _without(chunk: list[list[Any]], positions: Sequence[int], *, is_computed: bool) -> list[Any]:
    """The arguments of erase_from_chunk.lua that say what becomes of a chunk, and how many students it loses."""
    failed = sum(bool(chunk[at][1]) for at in positions) if is_computed else 0
    succeeded = len(positions) - failed if is_computed else 0
    for at in positions:
        chunk[at] = _ERASED_ROW if is_computed else _ERASED_ITEM
    return [msgspec.msgpack.encode(chunk), succeeded, failed, len(positions)]
