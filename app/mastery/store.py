"""Where facts and derived scores live in Redis. Everything of a tenant carries its hash tag: ``mastery:{tenant}:…``.

The scripts beside this file are the only writers; each documents the keys it touches.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import msgpack
import msgspec
import redis
from redis.commands.core import Script

from app.clock import Day
from app.errors import NotFound
from app.events.observation import MILLIONTHS, Observation
from app.mastery.facts import DayFacts, Window
from app.redis_client import translated_errors

# Students in one script call: long enough to make the call's own cost small, short enough (about 1 ms) that the server
# answers queries in between.
STUDENTS_PER_CALL = 50

T = TypeVar("T")
_day_facts = msgspec.msgpack.Decoder(DayFacts)


class Merged(NamedTuple):
    """What merging did for one student: outcomes in order ("1" applied, "0" duplicate, "x" expired), and the window, if any."""

    student_id: str
    outcomes: str
    window: Window | None
    scored_revision: int


class Score(NamedTuple):
    """A score derived from the facts of a revision, for a day."""

    student_id: str
    revision: int
    day: Day
    mastery: float


class Record(NamedTuple):
    """A student's retained facts, by day."""

    cohort_id: str | None
    days: dict[Day, DayFacts]


class Totals(NamedTuple):
    """How many events of a tenant were applied, repeated or too old, since the store was created."""

    applied: int = 0
    duplicates: int = 0
    expired: int = 0


class MasteryStore:
    """The facts and scores of all tenants. Every method takes the tenant first and sees nothing of another's.

    Raises DependencyUnavailable when Redis does not answer; every call may then be repeated.
    """

    def __init__(self, client: redis.Redis, key_prefix: str, retention_days: int) -> None:
        self._redis = client
        self._prefix = key_prefix
        self.retention_days = retention_days
        self._merge = _script(client, "merge_evidence")
        self._put = _script(client, "put_scores")

    def merge(
        self, tenant: str, observations: Mapping[str, Sequence[Observation]], today: Day, *, expired: int = 0
    ) -> list[Merged]:
        """Add each student's observations to the facts, each once, and roll the windows to today, all atomically per student.

        A student without observations is only rolled. ``expired`` events are counted in the totals.
        """
        keys = self._tenant_keys(tenant)
        calls: list[tuple[list[str], list[Any]]] = []
        for students in _slices(observations, STUDENTS_PER_CALL):
            call_keys = [keys + "totals", keys + "students"]
            arguments: list[Any] = [today, self.retention_days, expired, keys + "ranking:"]
            for student in students:
                call_keys += (f"{keys}student:{student}", f"{keys}marks:{student}")
                arguments += (student, msgpack.packb(observations[student], use_bin_type=False))
            calls.append((call_keys, arguments))
            expired = 0
        if expired:
            calls.append(([keys + "totals", keys + "students"], [today, self.retention_days, expired, ""]))
        with translated_errors():
            self._redis.sadd(f"{self._prefix}:tenants", tenant)
            replies = _run(self._redis, self._merge, calls)
        return [
            _merged(student, reply)
            for student, reply in zip(observations, (reply for batch in replies for reply in batch), strict=True)
        ]

    def put_scores(self, tenant: str, scores: Iterable[Score]) -> None:
        """Keep the scores for rankings and the next comparison, except where a newer revision was scored already."""
        keys = self._tenant_keys(tenant)
        calls: list[tuple[list[str], list[Any]]] = []
        for some in _slices(scores, STUDENTS_PER_CALL):
            arguments: list[Any] = [keys + "ranking:"]
            for student, revision, day, mastery in some:
                arguments += (student, revision, day, round(mastery * MILLIONTHS))
            calls.append(([keys + "students", keys + "cohorts", *(f"{keys}student:{s.student_id}" for s in some)], arguments))
        with translated_errors():
            _run(self._redis, self._put, calls)

    def read(self, tenant: str, student: str, today: Day, *, until: Day | None = None) -> Record:
        """The student's facts of the retention window that ends today, or of its days up to ``until``.

        Raises NotFound for a student without any.
        """
        with translated_errors():
            fields = cast("dict[bytes, bytes]", self._redis.hgetall(f"{self._tenant_keys(tenant)}student:{student}"))
        oldest, newest = today - self.retention_days + 1, today if until is None else until
        days = {
            day: _day_facts.decode(packed)
            for name, packed in fields.items()
            if name.isdigit() and oldest <= (day := int(name)) <= newest
        }
        if not days:
            raise NotFound("no evidence of such a student")
        cohort = fields.get(b"cohort")
        return Record(cohort.decode() if cohort else None, days)

    def require_student(self, tenant: str, student: str) -> None:
        """Raise NotFound for a student of whom nothing is stored."""
        with translated_errors():
            if not self._redis.exists(f"{self._tenant_keys(tenant)}student:{student}"):
                raise NotFound("no evidence of such a student")

    def cohort_of(self, tenant: str, student: str) -> str | None:
        """The cohort that the student's latest event named, if any."""
        with translated_errors():
            cohort = cast("bytes | None", self._redis.hget(f"{self._tenant_keys(tenant)}student:{student}", "cohort"))
        return cohort.decode() if cohort else None

    def stale_students(self, tenant: str, today: Day, limit: int) -> list[str]:
        """Up to ``limit`` students whose score is of an earlier day, the oldest first."""
        with translated_errors():
            students = self._redis.zrangebyscore(f"{self._tenant_keys(tenant)}students", "-inf", today - 1, start=0, num=limit)
        return [student.decode() for student in cast("list[bytes]", students)]

    def tenants(self) -> list[str]:
        """Every tenant that ever sent an event, sorted."""
        with translated_errors():
            return sorted(name.decode() for name in cast("set[bytes]", self._redis.smembers(f"{self._prefix}:tenants")))

    def cohorts(self, tenant: str) -> list[str]:
        """The tenant's cohorts, sorted."""
        with translated_errors():
            members = cast("set[bytes]", self._redis.smembers(f"{self._tenant_keys(tenant)}cohorts"))
        return sorted(name.decode() for name in members)

    def ranking(self, tenant: str, cohort: str, *, lowest: int | None = None) -> list[tuple[str, float]]:
        """The cohort's students with their scores, lowest first: all of them, or the ``lowest`` so many."""
        stop = -1 if lowest is None else lowest - 1
        with translated_errors():
            pairs = self._redis.zrange(f"{self._tenant_keys(tenant)}ranking:{cohort}", 0, stop, withscores=True)
        return [(student.decode(), score) for student, score in cast("list[tuple[bytes, float]]", pairs)]

    def totals(self, tenant: str) -> Totals:
        """How the tenant's events ended."""
        with translated_errors():
            counts = cast("dict[bytes, bytes]", self._redis.hgetall(f"{self._tenant_keys(tenant)}totals"))
        return Totals(**{name.decode(): int(count) for name, count in counts.items()})

    def _tenant_keys(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:"


def _script(client: redis.Redis, name: str) -> Script:
    return client.register_script(Path(__file__).with_name(f"{name}.lua").read_text())


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
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _merged(student: str, reply: list[Any]) -> Merged:
    outcomes, window, score = (*reply, None, None)[:3]
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
