"""Where facts and derived scores live in Redis. Everything of a tenant carries its hash tag: ``mastery:{tenant}:…``.

The scripts beside this file are the only writers; each documents the keys it touches.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import msgpack
import msgspec
import redis
from redis.commands.core import Script

from app.clock import Day
from app.config.quotas import Quotas
from app.errors import NotFound
from app.mastery.evidence import MILLIONTHS, Observation
from app.mastery.facts import DayFacts, Window
from app.storage.redis_client import load_script, raise_if_transient

# Students in one script call: long enough to make the call's own cost small, short enough (about 1 ms) that the server
# answers queries in between.
STUDENTS_PER_CALL = 50
# A chunk that is not done after a week never will be. Its bitmap only keeps the totals exact should it be repeated.
COUNTED_SECONDS = 7 * 86_400
# The error of a new student for whom there is no room: see merge_evidence.lua.
OVER_QUOTA = "QUOTA"
# And of a student who has as many events as can be kept.
OVER_EVENTS = "EVENTS"
DONE_SECONDS = 300  # far longer than two attempts may overlap

T = TypeVar("T")
_day_facts = msgspec.msgpack.Decoder(DayFacts)


class Merged(NamedTuple):
    """What merging did for one student: outcomes in order ("1" applied, "0" duplicate, "x" expired), and the window, if any.

    ``error`` says why nothing was done: the record cannot be merged into, or was left alone as ``repeat_only`` demands; or the
    student is new, and the tenant has as many as it may (``OVER_QUOTA``); or the student has too many events (``OVER_EVENTS``).
    """

    student_id: str
    outcomes: str = ""
    window: Window | None = None
    scored_revision: int = 0
    error: str | None = None


class Score(NamedTuple):
    """A score derived from the facts of a revision, for a day."""

    student_id: str
    revision: int
    day: Day
    mastery: float


class StudentRecord(NamedTuple):
    """A student's retained facts, by day."""

    cohort_id: str | None
    days: dict[Day, DayFacts]


class Totals(NamedTuple):
    """How many events of a tenant were applied, repeated or too old, since the store was created."""

    applied: int = 0
    duplicates: int = 0
    expired: int = 0


def tenant_keys(key_prefix: str, tenant: str) -> str:
    """What all keys of a tenant begin with: its hash tag puts them on one shard, so that a script may touch several."""
    return f"{key_prefix}:{{{tenant}}}:"


class MasteryStore:
    """The facts and scores of all tenants. Every method takes the tenant first and sees nothing of another's.

    Raises DependencyUnavailable when Redis does not answer; every call may then be repeated.
    """

    def __init__(self, client: redis.Redis, key_prefix: str, retention_days: int, quotas: Quotas) -> None:
        self._redis = client
        self._prefix = key_prefix
        self.retention_days = retention_days
        self._quotas = quotas
        self._merge = load_script(client, Path(__file__).with_name("merge_evidence.lua"))
        self._put = load_script(client, Path(__file__).with_name("put_scores.lua"))

    def merge(
        self,
        tenant: str,
        observations: Mapping[str, Sequence[Observation]],
        today: Day,
        *,
        expired: int = 0,
        chunk_id: str | None = None,
        repeat_only: bool = False,
    ) -> list[Merged]:
        """Add each student's observations to the facts, each once, and roll the windows to today, all atomically per student.

        A student without observations is only rolled. ``expired`` events are counted in the totals. Those of a chunk are
        counted once, however often it is merged after ``begin_chunk``, as long as it stays the same; with ``repeat_only`` just
        what was merged before is merged again.
        """
        keys = self._tenant_keys(tenant)
        shared_keys = [keys + "totals", keys + "students", _counted(keys, chunk_id)]
        calls: list[tuple[list[str], list[Any]]] = []

        def arguments(expired: int, *, repeat_only: bool) -> list[Any]:
            call = -1 if chunk_id is None else len(calls)
            return [today, self.retention_days, expired, keys + "ranking:", call, int(repeat_only), self._quotas.of(tenant)]

        if expired:
            calls.append((shared_keys, arguments(expired, repeat_only=False)))
        for students in _slices(observations, STUDENTS_PER_CALL):
            call_keys, call_arguments = [*shared_keys], arguments(0, repeat_only=repeat_only)
            for student in students:
                call_keys += (f"{keys}student:{student}", f"{keys}marks:{student}")
                call_arguments += (student, msgpack.packb(observations[student], use_bin_type=False))
            calls.append((call_keys, call_arguments))
        if chunk_id is None:
            self._redis.sadd(f"{self._prefix}:tenants", tenant)
        replies = _run(self._redis, self._merge, calls)[1 if expired else 0 :]
        merged = [
            _merged(student, reply)
            for students, batch in zip(_slices(observations, STUDENTS_PER_CALL), replies, strict=True)
            for student, reply in zip_longest(students, batch)
        ]
        raise_if_transient(each.error for each in merged if each.error is not None)
        return merged

    def beyond_quota(self, tenant: str, students: Sequence[str]) -> set[str]:
        """Which of these students are new, and one too many for the tenant. Those that come first have the room there is."""
        if not students:
            return set()
        distinct = list(dict.fromkeys(students))
        key = self._tenant_keys(tenant) + "students"
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zcard(key)
        pipeline.zmscore(key, distinct)
        count, days = pipeline.execute()
        new = [student for student, day in zip(distinct, days, strict=True) if day is None]
        return set(new[max(0, self._quotas.of(tenant) - count) :])

    def begin_chunk(self, tenants: Iterable[str], chunk_id: str) -> None:
        """Say that a chunk with events of these tenants will be merged; to say it again changes nothing."""
        pipeline = self._redis.pipeline(transaction=False)
        for tenant in tenants:
            pipeline.sadd(f"{self._prefix}:tenants", tenant)
            pipeline.set(_counted(self._tenant_keys(tenant), chunk_id), "", nx=True, ex=COUNTED_SECONDS)
        pipeline.execute()

    def chunk_done(self, tenants: Iterable[str], chunk_id: str) -> None:
        """Forget soon which events of a chunk were counted: only an attempt that still runs may merge it again."""
        pipeline = self._redis.pipeline(transaction=False)
        for tenant in tenants:
            pipeline.expire(_counted(self._tenant_keys(tenant), chunk_id), DONE_SECONDS)
        pipeline.execute()

    def put_scores(self, tenant: str, scores: Iterable[Score], at: datetime) -> list[str]:
        """Keep the scores for rankings and the next comparison, except where a newer revision was scored already.

        What changed is noted with the moment in the same step. Returns the errors of students whose score cannot be kept.
        """
        keys = self._tenant_keys(tenant)
        shared_keys = [keys + "students", keys + "cohorts", keys + "changes"]
        calls: list[tuple[list[str], list[Any]]] = []
        for some in _slices(scores, STUDENTS_PER_CALL):
            arguments: list[Any] = [keys + "ranking:", round(at.timestamp() * 1000)]
            for student, revision, day, mastery in some:
                arguments += (student, revision, day, round(mastery * MILLIONTHS))
            calls.append(([*shared_keys, *(f"{keys}student:{each.student_id}" for each in some)], arguments))
        replies = _run(self._redis, self._put, calls)
        errors = [error.decode() for some_errors in replies for error in some_errors]
        raise_if_transient(errors)
        return errors

    def postpone(self, tenant: str, students: Iterable[str], day: Day) -> None:
        """Treat students as scored on a day though they are not: whoever looks for stale ones would find them for ever."""
        self._redis.zadd(f"{self._tenant_keys(tenant)}students", dict.fromkeys(students, day))

    def read(
        self, tenant: str, student: str, today: Day, *, until: Day | None = None, fields: Mapping[bytes, bytes] | None = None
    ) -> StudentRecord:
        """The student's facts of the retention window that ends today, or of its days up to ``until``.

        ``fields`` are the hash at ``record_key``, where somebody has read it. Raises NotFound for a student without any facts.
        """
        if fields is None:
            fields = cast("dict[bytes, bytes]", self._redis.hgetall(self.record_key(tenant, student)))
        oldest, newest = today - self.retention_days + 1, today if until is None else until
        days = {
            day: _day_facts.decode(packed)
            for name, packed in fields.items()
            if name.isdigit() and oldest <= (day := int(name)) <= newest
        }
        if not days:
            raise NotFound("no evidence of such a student")
        cohort = fields.get(b"cohort")
        return StudentRecord(cohort.decode() if cohort else None, days)

    def record_key(self, tenant: str, student: str) -> str:
        """Where a student's facts are."""
        return f"{self._tenant_keys(tenant)}student:{student}"

    def require_student(self, tenant: str, student: str) -> None:
        """Raise NotFound for a student of whom nothing is stored."""
        if not self._redis.exists(self.record_key(tenant, student)):
            raise NotFound("no evidence of such a student")

    def cohort_of(self, tenant: str, student: str) -> str | None:
        """The cohort that the student's latest event named, if any."""
        cohort = cast("bytes | None", self._redis.hget(self.record_key(tenant, student), "cohort"))
        return cohort.decode() if cohort else None

    def stale_students(self, tenant: str, today: Day, limit: int) -> list[str]:
        """Up to ``limit`` students whose score is of an earlier day, the oldest first."""
        students = self._redis.zrangebyscore(f"{self._tenant_keys(tenant)}students", "-inf", today - 1, start=0, num=limit)
        return [student.decode() for student in cast("list[bytes]", students)]

    def tenants(self) -> list[str]:
        """Every tenant that ever sent an event, sorted."""
        return sorted(name.decode() for name in cast("set[bytes]", self._redis.smembers(f"{self._prefix}:tenants")))

    def cohorts(self, tenant: str) -> list[str]:
        """The tenant's cohorts, sorted."""
        members = cast("set[bytes]", self._redis.smembers(f"{self._tenant_keys(tenant)}cohorts"))
        return sorted(name.decode() for name in members)

    def ranking(self, tenant: str, cohort: str, *, lowest: int | None = None) -> list[tuple[str, float]]:
        """The cohort's students with their scores, lowest first: all of them, or the ``lowest`` so many."""
        stop = -1 if lowest is None else lowest - 1
        pairs = self._redis.zrange(f"{self._tenant_keys(tenant)}ranking:{cohort}", 0, stop, withscores=True)
        return [(student.decode(), score) for student, score in cast("list[tuple[bytes, float]]", pairs)]

    def totals(self, tenant: str) -> Totals:
        """How the tenant's events ended."""
        counts = cast("dict[bytes, bytes]", self._redis.hgetall(f"{self._tenant_keys(tenant)}totals"))
        return Totals(**{name.decode(): int(count) for name, count in counts.items()})

    def _tenant_keys(self, tenant: str) -> str:
        return tenant_keys(self._prefix, tenant)


def _counted(keys: str, chunk_id: str | None) -> str:
    return f"{keys}chunk:{chunk_id}"


def _run(client: redis.Redis, script: Script, calls: list[tuple[list[str], list[Any]]]) -> list[Any]:
    """The replies of one script called with each (keys, arguments), in one round trip.

    A server that was restarted does not know the script: it is loaded, and only the calls it refused are repeated.
    """
    replies: list[Any] = [redis.exceptions.NoScriptError()] * len(calls)
    for _attempt in range(2):
        refused = [i for i, reply in enumerate(replies) if isinstance(reply, redis.exceptions.NoScriptError)]
        if not refused:
            break
        pipeline = client.pipeline(transaction=False)
        if _attempt:
            pipeline.script_load(script.script)
        for i in refused:
            keys, arguments = calls[i]
            pipeline.evalsha(script.sha, len(keys), *keys, *arguments)
        for i, reply in zip(refused, pipeline.execute(raise_on_error=False)[_attempt:], strict=True):
            replies[i] = reply
    raise_if_transient(replies)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _merged(student: str, reply: list[Any] | None) -> Merged:
    if reply is None:
        return Merged(student, error="not merged before")
    outcomes, window, score = (*reply, None, None)[:3]
    if outcomes is None:
        return Merged(student, error=window.decode())
    return Merged(
        student,
        outcomes.decode(),
        Window(*msgpack.unpackb(window)) if window else None,
        msgpack.unpackb(score)[0] if score else 0,
    )


def _slices(items: Iterable[T], size: int) -> Iterable[list[T]]:
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
