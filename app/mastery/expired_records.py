"""Removes what ``merge_evidence.lua`` leaves: expired students whose record is damaged."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from app.clock import Day
from app.mastery.facts import first_retained_day
from app.storage.keys import Keys
from app.storage.scripts import RANKINGS, STUDENTS_PER_CALL, load_script, run_script, slices


class ExpiredRecords:
    """Expired records of all tenants. Raises DependencyUnavailable when Redis does not answer; all calls are idempotent."""

    def __init__(self, client: redis.Redis, key_prefix: str, retention_days: int) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._retention_days = retention_days
        self._remove = load_script(client, Path(__file__).with_name("remove_expired.lua"), including=RANKINGS)

    def remove(self, tenant: str, students: Sequence[str], today: Day) -> set[str]:
        """Remove those of these students who have no evidence of the retention window, whatever their record's values are.

        Returns:
            The removed students.
        """
        keys, oldest = self._keys, first_retained_day(today, self._retention_days)
        calls: list[tuple[list[str], list[Any]]] = []
        for some in slices(students, STUDENTS_PER_CALL):
            names = [keys.students(tenant), keys.cohorts(tenant)]
            for student in some:
                names += (keys.student(tenant, student), keys.marks(tenant, student))
            calls.append((names, [oldest, keys.ranking_names(tenant), *some]))
        return {student.decode() for removed in run_script(self._redis, self._remove, calls) for student in removed}
