"""Scores and the rankings of cohorts in Redis. ``put_scores.lua`` is their only writer, except for removed students."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgpack
import redis

from app.clock import Day
from app.mastery.evidence import MILLIONTHS
from app.mastery.formula import Components
from app.mastery.rankings import millionths
from app.storage.keys import Keys
from app.storage.ranking_keys import counted_under
from app.storage.redis_client import raise_if_transient
from app.storage.scripts import RANKINGS, STUDENTS_PER_CALL, load_script, run_script, slices

MEMBERS_PER_CALL = 1000  # of ZSCAN: less than a millisecond of the server's time


class Score(NamedTuple):
    """A score, computed from a revision of the facts for a day."""

    student_id: str
    revision: int
    day: Day
    mastery: float
    components: Components = Components()

    @property
    def millionths(self) -> list[int]:
        """Mastery and the components, in the order of ``Metric``; -1 without evidence."""
        return [-1 if value is None else millionths(value) for value in (self.mastery, *self.components)]


class ScoreStore:
    """The scores of all tenants' students. Every method accesses only the data of the given tenant.

    Raises DependencyUnavailable when Redis does not answer; all calls are idempotent.
    """

    def __init__(self, client: redis.Redis, key_prefix: str, rule: str) -> None:
        """``rule`` says who is in statistics: see ``rule_of``."""
        self._redis = client
        self._keys = Keys(key_prefix)
        self._rule = rule
        script = Path(__file__).with_name("put_scores.lua")
        self._put = load_script(client, script, including=RANKINGS, MILLIONTHS=MILLIONTHS)

    def put(self, tenant: str, scores: Iterable[Score], at: datetime) -> list[str]:
        """Store scores, unless a newer revision has a score, and atomically add the changes to the outbox.

        Returns:
            The errors of students whose score cannot be stored.
        """
        keys = self._keys
        shared_keys = [keys.students(tenant), keys.cohorts(tenant), keys.changes(tenant), keys.counted(tenant)]
        calls: list[tuple[list[str], list[Any]]] = []
        for some in slices(scores, STUDENTS_PER_CALL):
            arguments: list[Any] = [
                keys.ranking_names(tenant, self._rule),
                round(at.timestamp() * 1000),
                counted_under(self._rule),
            ]
            for each in some:
                arguments += (each.student_id, msgpack.packb((each.revision, each.day, *each.millionths)))
            calls.append(([*shared_keys, *(keys.student(tenant, each.student_id) for each in some)], arguments))
        replies = run_script(self._redis, self._put, calls)
        errors = [error.decode() for some_errors in replies for error in some_errors]
        raise_if_transient(errors)
        return errors

    def postpone(self, tenant: str, students: Iterable[str], day: Day) -> None:
        """Mark students as scored on a day although they are not, so that ``stale_students`` does not return them forever."""
        self._redis.zadd(self._keys.students(tenant), dict.fromkeys(students, day))

    def stale_students(self, tenant: str, today: Day, limit: int) -> list[str]:
        """Up to ``limit`` students whose score is of an earlier day, oldest first."""
        students = self._redis.zrangebyscore(self._keys.students(tenant), "-inf", today - 1, start=0, num=limit)
        return [student.decode() for student in cast("list[bytes]", students)]

    def cohorts(self, tenant: str) -> list[str]:
        """The tenant's cohorts, sorted."""
        members = cast("set[bytes]", self._redis.smembers(self._keys.cohorts(tenant)))
        return sorted(name.decode() for name in members)

    def members(self, tenant: str, cohort: str | None = None) -> set[str]:
        """The students of a cohort, or all of the tenant. Read in parts: students that come or go meanwhile may be missed."""
        key = self._keys.students(tenant) if cohort is None else self._keys.ranking(tenant, cohort)
        return {student.decode() for student, _ in self._redis.zscan_iter(key, count=MEMBERS_PER_CALL)}

    def students(self, tenant: str) -> Iterator[list[str]]:
        """All students of the tenant, some at a time; those that come meanwhile may be missed, some may come twice."""
        for some in slices(self._redis.zscan_iter(self._keys.students(tenant), count=MEMBERS_PER_CALL), MEMBERS_PER_CALL):
            yield [student.decode() for student, _ in some]

    def ranking(self, tenant: str, cohort: str) -> list[tuple[str, float]]:
        """The cohort's students with their scores, lowest first."""
        pairs = self._redis.zrange(self._keys.ranking(tenant, cohort), 0, -1, withscores=True)
        return [(student.decode(), score) for student, score in cast("list[tuple[bytes, float]]", pairs)]
