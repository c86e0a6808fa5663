"""The facts of all students in Redis. ``merge_evidence.lua`` is their only writer, and documents its keys."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgpack
import msgspec
import redis

from app.clock import Day
from app.config.quotas import Quotas
from app.errors import NotFound
from app.logs import frames
from app.mastery.components import CONSISTENCY_DAYS
from app.mastery.evidence import ACTIVITY, COMPLETION, MARK_BYTES, QUALITY, QUIZ, Observation
from app.mastery.facts import DayFacts, Unreadable, first_retained_day
from app.mastery.merged import Merged, decode_merged
from app.pseudonyms import WHOLE_TENANT, Pseudonymize
from app.storage.erased import ErasedFacts
from app.storage.keys import Keys
from app.storage.redis_client import raise_if_transient
from app.storage.scripts import RANKINGS, STUDENTS_PER_CALL, load_script, run_script, slices

# Students per call of cohorts_of.lua, which does two fast commands for each: a millisecond of the server's time.
LOOKUPS_PER_CALL = 1000
ERASURES_PER_CALL = 1000  # less than a millisecond of the server's time

_log = logging.getLogger(__name__)
_day_facts = msgspec.msgpack.Decoder(DayFacts)


class StudentRecord(NamedTuple):
    """A student's retained facts, by day. ``counted``: see ``RankingStore.has``."""

    cohort_id: str | None
    days: dict[Day, DayFacts]
    counted: str | None = None


class FactStore:
    """The facts of all tenants' students. Every method accesses only the data of the given tenant.

    Raises DependencyUnavailable when Redis does not answer; all calls are idempotent.
    """

    def __init__(
        self, client: redis.Redis, key_prefix: str, retention_days: int, quotas: Quotas, pseudonyms: Pseudonymize
    ) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self.retention_days = retention_days
        self._quotas = quotas
        self._pseudonyms = pseudonyms
        self._merge = load_script(
            client,
            Path(__file__).with_name("merge_evidence.lua"),
            including=RANKINGS,
            COMPLETION=COMPLETION,
            QUIZ=QUIZ,
            QUALITY=QUALITY,
            ACTIVITY=ACTIVITY,
            MARK_BYTES=MARK_BYTES,
            CONSISTENCY_DAYS=CONSISTENCY_DAYS,
        )
        self._forget = load_script(client, Path(__file__).with_name("forget_erasures.lua"))
        self._erase = load_script(client, Path(__file__).with_name("erase_students.lua"), including=RANKINGS)
        self._remember = load_script(client, Path(__file__).with_name("remember_erasures.lua"))
        self._cohorts_of = load_script(client, Path(__file__).with_name("cohorts_of.lua"))

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
        """Merge each observation into the student's facts once, and roll the windows to today, atomically per student.

        Without observations, only the window is rolled. The totals include ``expired`` events. They count an unchanged chunk
        once, even if it is merged repeatedly after ``EventTotals.begin_chunk``. ``repeat_only`` skips calls not merged before.

        Returns:
            The result for each student, in order.
        """
        calls = self._calls(tenant, observations, today, expired=expired, chunk_id=chunk_id, repeat_only=repeat_only)
        if chunk_id is None:
            self._redis.sadd(self._keys.tenants(), tenant)
        replies = run_script(self._redis, self._merge, calls)[1 if expired else 0 :]
        merged = [
            decode_merged(student, reply)
            for students, batch in zip(slices(observations, STUDENTS_PER_CALL), replies, strict=True)
            for student, reply in zip_longest(students, batch)
        ]
        raise_if_transient(each.error for each in merged if each.error is not None)
        return merged

    def _calls(
        self,
        tenant: str,
        observations: Mapping[str, Sequence[Observation]],
        today: Day,
        *,
        expired: int,
        chunk_id: str | None,
        repeat_only: bool,
    ) -> list[tuple[list[str], list[Any]]]:
        """Keys and arguments of each script call. The first one counts the expired events, if any, and has no students."""
        keys = self._keys
        chunk = keys.counted_chunk(tenant, str(chunk_id))
        shared_keys = [keys.totals(tenant), keys.students(tenant), chunk, keys.cohorts(tenant), keys.erased(tenant)]
        names, quota = keys.ranking_names(tenant), self._quotas.of(tenant)
        calls: list[tuple[list[str], list[Any]]] = []
        if expired:
            calls.append((shared_keys, [today, self.retention_days, expired, names, -1 if chunk_id is None else 0, 0, quota]))
        for students in slices(observations, STUDENTS_PER_CALL):
            number = -1 if chunk_id is None else len(calls)
            call_keys = [*shared_keys]
            arguments = [today, self.retention_days, 0, names, number, int(repeat_only), quota]
            for student in students:
                call_keys += (keys.student(tenant, student), keys.marks(tenant, student))
                packed = msgpack.packb(list(chain.from_iterable(observations[student])), use_bin_type=False)
                arguments += (student, packed, " ".join(self._pseudonyms(tenant, student)))
            calls.append((call_keys, arguments))
        return calls

    def erase(self, tenant: str, students: Mapping[str, int], *, up_to_request: bool = False) -> ErasedFacts:
        """Erase the facts, scores and membership of students, each at once, and refuse their earlier events from now on.

        ``students`` has the moment of each erasure's request: microseconds since 1970-01-01, by the server's clock. A student
        who was erased after it keeps what came since, so a repeated call changes nothing. ``up_to_request``: events after the
        request are not refused.

        Returns:
            How many students had facts, and who has only what came after the request.
        """
        self._list_tenant(tenant)
        keys = self._keys
        shared_keys = [keys.students(tenant), keys.cohorts(tenant), keys.erased(tenant)]
        calls: list[tuple[list[str], list[Any]]] = []
        for some in slices(students, STUDENTS_PER_CALL):
            call_keys, arguments = [*shared_keys], [keys.ranking_names(tenant), int(up_to_request)]
            for student in some:
                call_keys += (keys.student(tenant, student), keys.marks(tenant, student))
                arguments += (student, self._pseudonyms(tenant, student)[0], str(students[student]))
            calls.append((call_keys, arguments))
        found = list(chain.from_iterable(run_script(self._redis, self._erase, calls)))
        returned = frozenset(student for student, result in zip(students, found, strict=True) if result < 0)
        return ErasedFacts(found.count(1), returned)

    def _list_tenant(self, tenant: str) -> None:
        """List a tenant, so that ``admit_again`` is called. A full server accepts it if the tenant is known."""
        if not self._redis.sismember(self._keys.tenants(), tenant):
            self._redis.sadd(self._keys.tenants(), tenant)

    def refuse(self, tenant: str, until: int) -> None:
        """Refuse all events of the tenant with a timestamp up to a moment: microseconds since 1970-01-01."""
        self.remember(tenant, {WHOLE_TENANT: until})

    def remember(self, tenant: str, erasures: Mapping[str, int]) -> None:
        """Refuse events of students (pseudonym → until when) like ``erase``, unless a later erasure is known."""
        self._list_tenant(tenant)
        calls: list[tuple[list[str], list[Any]]] = [
            ([self._keys.erased(tenant)], [part for erasure in some for part in erasure])
            for some in slices(erasures.items(), ERASURES_PER_CALL)
        ]
        run_script(self._redis, self._remember, calls)

    def lost_erasures(self, tenant: str, erasures: Mapping[str, int]) -> dict[str, int]:
        """Those of these erasures (pseudonym → until when) that are not known, nor a later one, nor one of the whole tenant."""
        lost: dict[str, int] = {}
        for some in slices(erasures, ERASURES_PER_CALL):
            values = cast("list[bytes | None]", self._redis.hmget(self._keys.erased(tenant), [WHOLE_TENANT, *some]))
            of_all, *known = (int(value.split()[0]) if value else -1 for value in values)
            lost |= {
                each: erasures[each] for each, until in zip(some, known, strict=True) if erasures[each] > max(until, of_all)
            }
        return lost

    def admit_again(self, tenant: str, until: int) -> Iterator[int]:
        """Forget the erasures up to a moment (microseconds since 1970-01-01): events that old have expired.

        Yields:
            After each step that forgot some, how many.
        """
        key = self._keys.erased(tenant)
        for some in slices(self._redis.hscan_iter(key, count=ERASURES_PER_CALL), ERASURES_PER_CALL):
            old = [field for field, value in some if int(value.split()[0]) <= until]
            if old and (count := cast("int", self._forget([key], [until, *old]))):
                yield count

    def beyond_quota(self, tenant: str, students: Sequence[str]) -> set[str]:
        """The new students among these that exceed the tenant's quota; the first ones get the remaining places."""
        if not students:
            return set()
        distinct = list(dict.fromkeys(students))
        key = self._keys.students(tenant)
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zcard(key)
        pipeline.zmscore(key, distinct)
        count, days = pipeline.execute()
        new = [student for student, day in zip(distinct, days, strict=True) if day is None]
        return set(new[max(0, self._quotas.of(tenant) - count) :])

    def read(
        self, tenant: str, student: str, today: Day, *, until: Day | None = None, fields: Mapping[bytes, bytes] | None = None
    ) -> StudentRecord:
        """Read a student's facts of the retention window that ends today, up to the day ``until``.

        ``fields`` are those of the record, if the caller has read them already.

        Returns:
            The cohort, and the facts by day.

        Raises:
            NotFound: The student has no facts in this period.
        """
        if fields is None:
            fields = self.fields(tenant, student)
        record = _record(fields, first_retained_day(today, self.retention_days), today if until is None else until)
        if record is None:
            raise NotFound("no evidence of such a student")
        return record

    def fields(self, tenant: str, student: str) -> Mapping[bytes, bytes]:
        """The hash of a student's record, as it is stored; empty if there is none."""
        return cast("dict[bytes, bytes]", self._redis.hgetall(self.record_key(tenant, student)))

    def read_many(
        self, tenant: str, students: Sequence[str], today: Day, until: Day
    ) -> list[StudentRecord | Unreadable | None]:
        """Read the facts of students like ``read``, in one round trip.

        Returns:
            Those of each student; None without any in this period. A damaged record is logged, and hides no others.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for student in students:
            pipeline.hgetall(self.record_key(tenant, student))
        oldest = first_retained_day(today, self.retention_days)
        return [_readable(fields, oldest, until) for fields in pipeline.execute()]

    def record_key(self, tenant: str, student: str) -> str:
        """The key of a student's facts."""
        return self._keys.student(tenant, student)

    def require_student(self, tenant: str, student: str) -> None:
        """Raise NotFound for a student without stored facts."""
        if not self._redis.exists(self.record_key(tenant, student)):
            raise NotFound("no evidence of such a student")

    def cohort_of(self, tenant: str, student: str) -> str | None:
        """The student's cohort, from the latest event with a cohort."""
        return _decoded(cast("bytes | None", self._redis.hget(self.record_key(tenant, student), "cohort")))

    def cohorts_of(self, tenant: str, students: Sequence[str]) -> dict[str, str | None]:
        """The cohort of each of these students that has facts; None for a student without a cohort."""
        calls: list[tuple[list[str], list[Any]]] = [
            ([self.record_key(tenant, student) for student in some], []) for some in slices(students, LOOKUPS_PER_CALL)
        ]
        replies = chain.from_iterable(run_script(self._redis, self._cohorts_of, calls))
        found = zip(students, cast("Iterable[bytes | None]", replies), strict=True)
        return {student: cohort.decode() or None for student, cohort in found if cohort is not None}


def cohort_in(fields: Mapping[bytes, bytes]) -> str | None:
    """The cohort in the hash of a student's record."""
    return _decoded(fields.get(b"cohort"))


def _decoded(name: bytes | None) -> str | None:
    return name.decode() if name else None


def _record(fields: Mapping[bytes, bytes], oldest: Day, newest: Day) -> StudentRecord | None:
    """A student's facts of these days; None without any."""
    days = {
        day: _day_facts.decode(packed)
        for name, packed in fields.items()
        if name.isdigit() and oldest <= (day := int(name)) <= newest
    }
    if not days:
        return None
    return StudentRecord(cohort_in(fields), days, _decoded(fields.get(b"counted")))


def _readable(fields: Mapping[bytes, bytes], oldest: Day, newest: Day) -> StudentRecord | Unreadable | None:
    try:
        return _record(fields, oldest, newest)
    except (msgspec.DecodeError, RecursionError) as error:
        _log.error("a student's record cannot be read: %s", frames(error))
        return Unreadable.DAMAGED
