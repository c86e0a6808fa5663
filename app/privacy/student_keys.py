"""Finds students who have no facts, but other keys: with a scan, which only the erasure of a whole tenant does."""

import glob
from collections.abc import Iterator

import redis

from app.storage.keys import Keys
from app.storage.scripts import slices

# Keys per command: half a millisecond of the server. A scan looks at the keys of all tenants.
SCAN_COUNT = 1000
STUDENTS_AT_ONCE = 500


class StudentKeys:
    """The keys that have a student's id in their name, and the recorded forecasts, which have it inside.

    Raises DependencyUnavailable when Redis does not answer.
    """

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)

    def students(self, tenant: str) -> Iterator[list[str]]:
        """The students of the tenant that have such keys, some at a time; some may come twice."""
        yield from slices((student.decode() for student in self._found(tenant)), STUDENTS_AT_ONCE)

    def _found(self, tenant: str) -> Iterator[bytes]:
        keys = self._keys
        named = (keys.consent, keys.tasks_about, keys.forecast, keys.forecast_claim)
        prefixes = [name(tenant, "").encode() for name in named]
        recorded = keys.recorded_forecasts(tenant, "").encode()
        for key in self._redis.scan_iter(f"{glob.escape(keys.tenant(tenant))}*", count=SCAN_COUNT):
            yield from (key.removeprefix(prefix) for prefix in prefixes if key.startswith(prefix))
            if key.startswith(recorded):
                yield from (student for student, _ in self._redis.hscan_iter(key, count=SCAN_COUNT))
