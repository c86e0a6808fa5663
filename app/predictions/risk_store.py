"""The lists of students at risk in Redis, one for each cohort, for as long as forecasts are kept: docs/decisions/0031-risk.md.

A list is used only on the day on which it was computed, and while the same model answers. It is a part of the cohort's ranking:
who is removed there, because of an erasure or a change of cohorts, is removed from the list by the same script.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast
from uuid import uuid4

import msgspec
import redis
from msgspec import Struct

from app.clock import Day
from app.errors import DependencyUnavailable
from app.storage.claim import Claim
from app.storage.keys import Keys
from app.storage.scripts import load_script, run_script, slices

# How long others wait for the one who computes a list: it takes a second or two. They keep a process of a worker waiting.
CLAIM_SECONDS = 10
STUDENTS_PER_CALL = 200  # of the script that stores a list: less than a millisecond of the server's time


class RiskList(Struct, frozen=True):
    """About a list: of which day it is, which model made it, and when.

    ``computed_at`` is in microseconds since 1970-01-01, UTC: what tells a list from one that was computed anew.
    """

    day: Day
    model: str
    model_version: str
    computed_at: int


class Estimate(NamedTuple):
    """The probability of a student, 0..1, and which erasure was the last one before the facts were read."""

    probability: float
    erasure: bytes = b""


class ListPart(NamedTuple):
    """A part of a list.

    Attributes:
        about: the list; None if there is none.
        total: how many students are in it.
        students: (student, probability), the highest first.
        left: how many students of the selected probabilities come after these.
        is_known: whether the cohort has students.
    """

    about: RiskList | None
    total: int
    students: list[tuple[str, float]]
    left: int
    is_known: bool


_list = msgspec.json.Decoder(RiskList)


class RiskStore:
    """The lists of all tenants. Raises DependencyUnavailable when Redis does not answer; all calls may be repeated."""

    def __init__(self, client: redis.Redis, key_prefix: str, seconds: int) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._seconds = seconds
        self._put = load_script(client, Path(__file__).with_name("put_at_risk.lua"))

    def claim(self, tenant: str, cohort: str) -> Claim:
        """The right to compute a cohort's list."""
        return Claim(self._redis, self._keys.at_risk_claim(tenant, cohort), CLAIM_SECONDS)

    def erasures(self, tenant: str, students: Sequence[str]) -> list[bytes]:
        """Which erasure was the last one of each student, as ``put`` takes it; empty for none. Read this before the facts."""
        pipeline = self._redis.pipeline(transaction=False)
        for student in students:
            pipeline.hget(self._keys.student(tenant, student), "after")
        return [after or b"" for after in pipeline.execute()]

    def put(self, tenant: str, cohort: str, about: RiskList, estimates: Mapping[str, Estimate]) -> int:
        """Store a list, without the students who were erased since, or are not in the cohort any more.

        It is there when all of it is: the one before goes first, then it is stored in parts that take the server less than a
        millisecond each.

        Returns:
            How many students are in it.

        Raises:
            DependencyUnavailable: Another process has begun to store one.
        """
        keys, owner = self._keys, f"stored by {uuid4().hex}"
        names = [keys.at_risk(tenant, cohort), keys.at_risk_list(tenant, cohort), keys.ranking(tenant, cohort)]
        pipeline = self._redis.pipeline()
        pipeline.set(names[1], owner, ex=self._seconds)
        pipeline.unlink(names[0])
        pipeline.execute()
        calls: list[tuple[list[str], list[Any]]] = []
        for some in slices(estimates.items(), STUDENTS_PER_CALL):
            records = [keys.student(tenant, student) for student, _ in some]
            arguments = [value for student, estimate in some for value in (student, *estimate)]
            calls.append(([*names, *records], [owner, owner, self._seconds, *arguments]))
        calls.append((names, [owner, msgspec.json.encode(about), self._seconds]))
        *_, count = run_script(self._redis, self._put, calls)
        if count < 0:
            raise DependencyUnavailable("the list of students at risk", "is stored by another process")
        return int(count)

    def erase(self, tenant: str, student_id: str) -> None:
        """Remove a student from the list of the cohort whose ranking has them. An erasure of facts does so by itself."""
        keys = self._keys
        ranked = cast("bytes | None", self._redis.hget(keys.student(tenant, student_id), "ranked"))
        if ranked:
            self._redis.zrem(keys.at_risk(tenant, ranked.decode()), student_id)

    def about(self, tenant: str, cohort: str) -> tuple[RiskList | None, int]:
        """About the cohort's list, None if there is none, and how many students are in it."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.get(self._keys.at_risk_list(tenant, cohort))
        pipeline.zcard(self._keys.at_risk(tenant, cohort))
        encoded, total = pipeline.execute()
        return _decoded(encoded), total

    def part(self, tenant: str, cohort: str, limit: int, at_least: float, left: int | None = None) -> ListPart:
        """Read up to ``limit`` students of a list with a probability of at least ``at_least``, at one moment.

        ``left`` says how many of them are left, counted from the lowest; None for all. So a student who was removed from the
        list since the part before may make another one come twice, but never makes one missing.

        Returns:
            The part.
        """
        keys = self._keys
        name = keys.at_risk(tenant, cohort)
        pipeline = self._redis.pipeline()
        pipeline.get(keys.at_risk_list(tenant, cohort))
        pipeline.zcard(name)
        pipeline.zcount(name, at_least, "+inf")
        pipeline.exists(keys.ranking(tenant, cohort))
        if left is None:
            pipeline.zrevrangebyscore(name, "+inf", at_least, start=0, num=limit, withscores=True)
        else:
            start = max(left - limit, 0)
            pipeline.zrangebyscore(name, at_least, "+inf", start=start, num=left - start, withscores=True)
        encoded, total, selected, is_known, found = pipeline.execute()
        students = [(student.decode(), probability) for student, probability in found]
        if left is None:
            rest = selected - len(students)
        else:
            students.reverse()
            rest = min(max(left - limit, 0), selected)
        return ListPart(_decoded(encoded), total, students, rest, bool(is_known))


def _decoded(encoded: bytes | None) -> RiskList | None:
    try:
        return _list.decode(encoded) if encoded else None
    except (msgspec.DecodeError, RecursionError):
        return None
