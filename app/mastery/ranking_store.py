"""Reads the rankings by metric in Redis. ``rankings.lua`` keeps them, and says who is in them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import redis

from app.clock import Day
from app.mastery.fact_store import StudentRecord
from app.mastery.rankings import CohortRankings, Metric, Ranking
from app.storage.keys import Keys
from app.storage.ranking_keys import counted_under
from app.storage.scripts import load_script, run_script

# Who is in a tenant's rankings is stored in a hash. Its fields:
#   counted  the rule under which all students are counted. If it is not the present one, rankings are read as empty: some of
#            the students would pass for all
#   begun    the rule under which they are being counted since some day, and that day
COUNTED = "counted"

_NO_VALUES: Mapping[Metric, int | None] = {}


class RankingStore:
    """The rankings of all tenants. Every method accesses only the data of the given tenant.

    Raises DependencyUnavailable when Redis does not answer.
    """

    def __init__(self, client: redis.Redis, key_prefix: str, rule: str) -> None:
        """``rule`` says who is in statistics: see ``rule_of``."""
        self._redis = client
        self._keys = Keys(key_prefix)
        self._rule = rule
        self._read = load_script(client, Path(__file__).with_name("read_rankings.lua"))
        self._note_refresh = load_script(client, Path(__file__).with_name("note_refresh.lua"))

    def read(
        self,
        tenant: str,
        cohort: str,
        metrics: Sequence[Metric],
        student: str | None = None,
        values: Mapping[Metric, int | None] = _NO_VALUES,
    ) -> CohortRankings:
        """Read a cohort's rankings, all of the same moment, and compare a student.

        ``values`` are compared where the ranking does not have the student.

        Returns:
            The rankings; one without students if nobody of the cohort is in it.
        """
        arguments: list[Any] = [counted_under(self._rule), student or ""]
        for metric in metrics:
            value = values.get(metric)
            arguments += (metric, "" if value is None else value)
        ((day, *replies),) = run_script(self._redis, self._read, [(self._names(tenant, cohort, metrics), arguments)])
        rankings = {metric: _ranking(reply) for metric, reply in zip(metrics, replies, strict=True)}
        return CohortRankings(int(day) if day else None, rankings)

    def has(self, record: StudentRecord) -> bool:
        """Whether the rankings of the student's cohort have the student, so that consent need not be read to know of it.

        A decision about statistics is stored together with the record's field ``counted``.

        Returns:
            Whether they have; False if the field is of another cohort, or of another rule.
        """
        return record.cohort_id is not None and record.counted == f"{record.cohort_id}{self._rule}"

    def summaries(self, tenant: str, cohorts: Sequence[str]) -> list[Ranking]:
        """The rankings of these cohorts by mastery, in one round trip."""
        arguments = [counted_under(self._rule), "", Metric.MASTERY, ""]
        calls = [(self._names(tenant, cohort, [Metric.MASTERY]), arguments) for cohort in cohorts]
        return [_ranking(reply) for _day, reply in run_script(self._redis, self._read, calls)]

    def values(self, tenant: str, cohort: str, metric: Metric) -> list[int]:
        """All values of a ranking, lowest first, all of the same moment."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hget(self._keys.counted(tenant), COUNTED)
        pipeline.zrange(self._ranking(tenant, cohort, metric), 0, -1, withscores=True)
        counted, pairs = pipeline.execute()
        return [int(value) for _student, value in pairs] if self._are_all(counted) else []

    def counts(self, tenant: str, cohorts: Sequence[str], metric: Metric, edges: Sequence[int]) -> list[list[int]]:
        """How many students of each cohort have a value below each edge (in millionths), in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hget(self._keys.counted(tenant), COUNTED)
        for cohort in cohorts:
            for edge in edges:
                pipeline.zcount(self._ranking(tenant, cohort, metric), "-inf", f"({edge}")
        counted, *numbers = pipeline.execute()
        found = iter(numbers if self._are_all(counted) else [0] * len(numbers))
        return [[next(found) for _edge in edges] for _cohort in cohorts]

    def note_refresh(self, tenant: str, today: Day) -> None:
        """Note that all scores of the tenant are of today.

        Call this when a refresh has passed all students. That of the day on which the rule, or the version of the engine, is
        a new one only begins: some scores of this day were stored before.
        """
        keys = [self._keys.counted(tenant), self._keys.students(tenant)]
        run_script(self._redis, self._note_refresh, [(keys, [counted_under(self._rule), today])])

    def _are_all(self, counted: bytes | None) -> bool:
        return counted is not None and counted.decode() == counted_under(self._rule)

    def day(self, tenant: str) -> Day | None:
        """Find the oldest day for which a score of the tenant is stored.

        Returns:
            Today once the refresh after midnight has run; until then, some scores are of this day. None without scores.
        """
        # Day 0: a student whose score is about to be written.
        found = self._redis.zrangebyscore(self._keys.students(tenant), 1, "+inf", start=0, num=1, withscores=True)
        return next((int(day) for _student, day in cast("list[tuple[bytes, float]]", found)), None)

    def _ranking(self, tenant: str, cohort: str, metric: Metric) -> str:
        return self._keys.metric_ranking(tenant, metric, f"{cohort}{self._rule}")

    def _names(self, tenant: str, cohort: str, metrics: Sequence[Metric]) -> list[str]:
        sums = self._keys.metric_sums(tenant, f"{cohort}{self._rule}")
        return [
            self._keys.counted(tenant),
            sums,
            self._keys.students(tenant),
            *(self._ranking(tenant, cohort, metric) for metric in metrics),
        ]


def _ranking(reply: list[Any]) -> Ranking:
    """The ranking of a reply of ``read_rankings.lua``."""
    students, total, squares, around, value, is_ranked, below, equal = reply
    quartiles = tuple(zip(around[::2], around[1::2], strict=True))
    return Ranking(students, int(total), int(squares), quartiles, int(value) if value else None, bool(is_ranked), below, equal)
