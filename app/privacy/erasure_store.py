"""Erasures in Redis: those that run, and the receipts of those that are done."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import redis

from app.errors import NotFound
from app.privacy.erasure import Erasure, Part, PendingErasure, moment
from app.storage.keys import Keys
from app.storage.overdue import OverdueClaims
from app.storage.scripts import load_script, run_script

# With `appendfsync everysec`, the file is written to disk within a second; less than the time limit of a command.
SYNC_MILLISECONDS = 1_500

_ERASED = b"erased:"  # followed by the kind of data


class ErasureStore:
    """The erasures of all tenants. Raises DependencyUnavailable when Redis does not answer; all calls may be repeated."""

    def __init__(self, client: redis.Redis, key_prefix: str, receipt_days: int) -> None:
        self._redis = client
        self._keys = keys = Keys(key_prefix)
        self._receipt_seconds = receipt_days * 86_400
        self._overdue = OverdueClaims(client, keys.erasing())
        folder = Path(__file__).parent
        self._accept = load_script(client, folder / "accept_erasure.lua")
        self._finish = load_script(client, folder / "finish_erasure.lua")
        self._close = load_script(client, folder / "close_erasure.lua")

    def accept(self, tenant: str, students: Mapping[str, str], *, requested: int | None = None) -> list[PendingErasure]:
        """Accept the erasure of each student (pseudonym → id). One that runs already is extended to now.

        ``requested`` is the moment of an erasure that is restored: microseconds since 1970-01-01.

        Returns:
            The erasure of each student, in order. Once this has returned, a sweep finds those whose task is lost.
        """
        calls: list[tuple[list[str], list[Any]]] = [
            (self._names(tenant, pseudonym), [pseudonym, str(uuid4()), student, "" if requested is None else requested])
            for pseudonym, student in students.items()
        ]
        found = zip(students.items(), run_script(self._redis, self._accept, calls), strict=True)
        self.touch(tenant)
        return [
            PendingErasure(erasure_id=id_.decode(), pseudonym=pseudonym, student_id=student, requested=int(requested))
            for (pseudonym, student), (id_, requested) in found
        ]

    def sync(self, tenant: str) -> None:
        """Wait until what was accepted so far is on the server's disk, so that a crash does not lose it.

        Does nothing on a server without ``WAITAOF`` (Redis before 7.2) or without an append-only file, and gives up after
        ``SYNC_MILLISECONDS``: the disk is slow then, and the erasure is accepted nevertheless.
        """
        self.touch(tenant)
        pipeline = self._redis.pipeline(transaction=False)
        # WAITAOF is about the writes of its connection. They are on disk together with all earlier ones.
        pipeline.zadd(self._keys.erasing(), {tenant: self._time() // 1000})
        pipeline.waitaof(1, 0, SYNC_MILLISECONDS)
        pipeline.execute(raise_on_error=False)

    def read(self, tenant: str, pseudonyms: Sequence[str]) -> Erasure:
        """The latest erasure of the student with one of these pseudonyms. Raises NotFound without one."""
        pipeline = self._redis.pipeline(transaction=False)
        for pseudonym in pseudonyms:
            pipeline.hgetall(self._keys.erasure(tenant, pseudonym))
        replies = cast("list[dict[bytes, bytes]]", pipeline.execute())
        found = [_erasure(pseudonym, fields) for pseudonym, fields in zip(pseudonyms, replies, strict=True) if fields]
        if not found:
            raise NotFound("no erasure of such a student, or its receipt has expired")
        return max(found, key=lambda each: each.requested_at)

    def next(self, tenant: str, before: int) -> PendingErasure | None:
        """Begin an attempt at the erasure with the oldest one, if that was before a moment (microseconds)."""
        pending = self._keys.erasures(tenant)
        while found := cast("list[bytes]", self._redis.zrangebyscore(pending, "-inf", f"({before}", start=0, num=1)):
            pseudonym = found[0].decode()
            self._redis.zadd(pending, {pseudonym: self._time()}, xx=True)
            fields = cast("dict[bytes, bytes]", self._redis.hgetall(self._keys.erasure(tenant, pseudonym)))
            if b"student" in fields:
                return PendingErasure(
                    erasure_id=fields[b"id"].decode(),
                    pseudonym=pseudonym,
                    student_id=fields[b"student"].decode(),
                    requested=int(fields[b"requested"]),
                )
            self._redis.zrem(pending, pseudonym)  # done by another task meanwhile
        return None

    def count(self, tenant: str, erasure: PendingErasure, kind: str, number: int) -> None:
        """Add to the number of erased things of a kind."""
        if number:
            self._redis.hincrby(self._keys.erasure(tenant, erasure.pseudonym), (_ERASED + kind.encode()).decode(), number)

    def has(self, tenant: str, erasure: PendingErasure, part: Part) -> bool:
        """Whether a part that is done once was done since the erasure's request."""
        since = cast("bytes | None", self._redis.hget(self._keys.erasure(tenant, erasure.pseudonym), part.value))
        return since is not None and int(since) >= erasure.requested

    def note(self, tenant: str, erasure: PendingErasure, part: Part) -> None:
        """Note that a part was done."""
        self._redis.hset(self._keys.erasure(tenant, erasure.pseudonym), part.value, str(erasure.requested))

    def finish(self, tenant: str, erasure: PendingErasure) -> Erasure | None:
        """Finish an erasure. Returns its receipt; None if it was requested again meanwhile."""
        if not self._finish(self._names(tenant, erasure.pseudonym)[:1], [erasure.erasure_id, erasure.requested]):
            return None
        return self.read(tenant, [erasure.pseudonym])

    def close(self, tenant: str, receipt: Erasure) -> None:
        """Close a finished erasure, after its receipt was written to the audit trail."""
        self._close(self._names(tenant, receipt.pseudonym), [receipt.pseudonym, receipt.erasure_id, self._receipt_seconds])

    def running(self, tenants: Sequence[str]) -> int:
        """The number of erasures that run, of these tenants."""
        pipeline = self._redis.pipeline(transaction=False)
        for tenant in tenants:
            pipeline.zcard(self._keys.erasures(tenant))
        return sum(pipeline.execute())

    def touch(self, tenant: str) -> int:
        """Note that the tenant's erasures are worked on. Returns the server's time: microseconds since 1970-01-01."""
        self._overdue.touch(tenant)
        return self._time()

    def forget(self, tenant: str, since: int) -> None:
        """Note that no erasure of the tenant runs, unless one was accepted after a moment (microseconds)."""
        if not self._redis.zcard(self._keys.erasures(tenant)):
            self._overdue.release(tenant, since // 1000)

    def claim_overdue(self, seconds: float, limit: int) -> list[str]:
        """Claim tenants with erasures without activity for ``seconds``; see ``OverdueClaims.claim``."""
        return self._overdue.claim(seconds, limit)

    def _time(self) -> int:
        seconds, fraction = self._redis.time()
        return seconds * 1_000_000 + fraction

    def _names(self, tenant: str, pseudonym: str) -> list[str]:
        return [self._keys.erasure(tenant, pseudonym), self._keys.erasures(tenant)]


def _erasure(pseudonym: str, fields: Mapping[bytes, bytes]) -> Erasure:
    finished = fields.get(b"finished")
    return Erasure(
        erasure_id=fields[b"id"].decode(),
        pseudonym=pseudonym,
        requested_at=moment(int(fields[b"requested"])),
        finished_at=moment(int(finished)) if finished else None,
        erased={name.removeprefix(_ERASED).decode(): int(n) for name, n in sorted(fields.items()) if name.startswith(_ERASED)},
    )
