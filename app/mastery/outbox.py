"""The outbox: changes of scores to be published, and erasures to be announced.

``put_scores.lua`` adds the changes of a score atomically with it, to a stream. Redis cannot edit the entries of a stream: a
deleted one even remains in its memory and its dumps until all its neighbours are deleted too. So an erasure first moves all
entries to a sorted set, each at most once in its life, and then replaces those that have a student. The entries keep their ids
and their order: the sorted set has the older ones.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import redis

from app.clock import microseconds
from app.mastery.outbox_entry import ERASURES, ID_DIGITS, OutboxEntry, of_member, of_stream, padded_id, without
from app.mastery.result_messages import Erasure
from app.storage.erased import Erased
from app.storage.keys import Keys
from app.storage.redis_client import next_id
from app.storage.scripts import STUDENTS_PER_CALL, load_script, run_script, slices

# Entries per step of an erasure, of up to 50 changes each: a millisecond of the server's time, 200 KB.
PAGE = 100


class Outbox:
    """The entries of each tenant, in storage order. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        folder = Path(__file__).parent
        self._read = load_script(client, folder / "read_changes.lua")
        self._acknowledge = load_script(client, folder / "acknowledge_changes.lua")
        self._move = load_script(client, folder / "move_changes.lua")
        self._replace = load_script(client, folder / "replace_changes.lua")

    def entries(self, tenants: Sequence[str]) -> dict[str, int]:
        """The number of waiting entries, for tenants that have any. Those that are being moved may be counted twice."""
        pipeline = self._redis.pipeline(transaction=False)
        for tenant in tenants:
            pipeline.xlen(self._keys.changes(tenant))  # first: entries move from here to there
            pipeline.zcard(self._keys.older_changes(tenant))
        counts = pipeline.execute()
        waiting = {tenant: counts[2 * i] + counts[2 * i + 1] for i, tenant in enumerate(tenants)}
        return {tenant: count for tenant, count in waiting.items() if count}

    def read(self, tenants: Sequence[str], limit: int) -> dict[str, list[OutboxEntry]]:
        """Up to ``limit`` entries per tenant, for tenants that have any."""
        replies = run_script(self._redis, self._read, [(self._names(tenant), [limit]) for tenant in tenants])
        waiting = {
            tenant: [*map(of_member, older), *(of_stream(*each) for each in newer)]
            for tenant, (older, newer) in zip(tenants, replies, strict=True)
        }
        return {tenant: entries for tenant, entries in waiting.items() if entries}

    def acknowledge(self, tenant: str, until: str) -> None:
        """Remove published entries up to an id."""
        after = next_id(until)
        self._acknowledge(self._names(tenant), [after, padded_id(after)])

    def announce_erased(self, tenant: str, students: Sequence[str], at: datetime) -> None:
        """Tell other services to erase everything of these students up to a moment.

        May be repeated: the messages then have the same ids. The announcement comes after the changes that wait now. The id ""
        stands for all students of the tenant: it is not told to others, but recorded like every erasure.
        """
        self._redis.sadd(self._keys.tenants(), tenant)  # which the relay looks through; this one may never have sent an event
        for some in slices(students, STUDENTS_PER_CALL):
            erasures = [Erasure(student, microseconds(at)) for student in some]
            fields: dict[Any, Any] = {"at": round(at.timestamp() * 1000), ERASURES: msgspec.msgpack.encode(erasures)}
            self._redis.xadd(self._keys.changes(tenant), fields)

    def erase(self, tenant: str, students: Sequence[str]) -> Erased:
        """Remove the changes of students that wait now, in one pass for all of them.

        Called after the students' facts are erased, when no process can add changes of these facts any more. If a student
        returns before that, the changes until now are not published, but the next one is. Announcements of erasures stay. A
        call that is interrupted is repeated from the beginning.

        Returns:
            The number of removed changes.
        """
        names = self._names(tenant)
        while self._move(names, [PAGE, ID_DIGITS]) == PAGE:
            pass  # until the stream is empty, since its memory is freed only then
        return Erased(self._remove(names[1], frozenset(students)))

    def _remove(self, older: str, students: Collection[str]) -> int:
        """Remove changes of students from the sorted set, page by page. Returns their number."""
        removed, after = 0, b"-"
        while page := cast("list[bytes]", self._redis.zrangebylex(older, after, "+", start=0, num=PAGE)):
            edits = {member: without(member, students) for member in page}
            edits = {member: edit for member, edit in edits.items() if edit[1]}
            if edits:
                arguments = [part for member, (rest, _) in edits.items() for part in (member, rest)]
                replaced = cast("list[int]", self._replace([older], arguments))
                removed += sum(count for done, (_, count) in zip(replaced, edits.values(), strict=True) if done)
                if not all(replaced):
                    continue  # another call may have replaced some: look at them again
            after = b"(" + page[-1]
        return removed

    def _names(self, tenant: str) -> list[str]:
        return [self._keys.changes(tenant), self._keys.older_changes(tenant)]
