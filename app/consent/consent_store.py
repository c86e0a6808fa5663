"""Consent records in Redis: one for each student who, or for whom an admin, has decided something."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import cast

import msgspec
import redis

from app.consent.consent import Consent, Decision, bounded
from app.logs import frames
from app.purposes import Purpose
from app.storage.erased import Erased
from app.storage.exported import Exported, ExportedRow, utc_text
from app.storage.keys import Keys
from app.storage.ranking_keys import rule_of
from app.storage.scripts import RANKINGS, load_script, run_script, slices

# Students per MGET, UNLINK or script call: less than a millisecond of the server's time.
STUDENTS_PER_CALL = 1000
DAY_SECONDS = 86_400
# Of an export, which names no other person: an admin who decided is a role.
EXPORTED_COLUMNS = {
    "purpose": "what the decision is about",
    "given": "whether the data may be used for it",
    "at": "when it was decided, UTC",
    "role": "the role of whoever decided",
}

_history = msgspec.json.Decoder(list[Decision])
_log = logging.getLogger(__name__)


class ConsentStore:
    """The consent records of all tenants. Raises DependencyUnavailable when Redis does not answer.

    A record is kept while the student has data, or for the retention after its last decision: see ``keep``.
    """

    def __init__(self, client: redis.Redis, key_prefix: str, retention_days: int, required: frozenset[Purpose]) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._retention_seconds = retention_days * DAY_SECONDS
        self._required = required
        self._rule = rule_of(is_consent_required=Purpose.COHORT_STATISTICS in required)
        self._replace = load_script(client, Path(__file__).with_name("replace_consent.lua"), including=RANKINGS)
        self._keep = load_script(client, Path(__file__).with_name("keep_consents.lua"))

    def read(self, tenant: str, student_id: str) -> Consent:
        """What a student has decided; without a record, an empty history."""
        return self._decoded(cast("bytes | None", self._redis.get(self._keys.consent(tenant, student_id))))

    def replace(self, tenant: str, student_id: str, before: Consent, new: Sequence[Decision]) -> bool:
        """Add decisions to a record, unless it was changed since ``before`` was read.

        One about ``cohort_statistics`` takes the student out of the statistics, or into them, at once.

        Returns:
            Whether the decisions were added.
        """
        keys = [
            self._keys.consent(tenant, student_id),
            self._keys.consent_revision(tenant),
            self._keys.student(tenant, student_id),
        ]
        record = msgspec.json.encode(bounded([*before.history, *new]))
        is_about_statistics = any(each.purpose == Purpose.COHORT_STATISTICS for each in new)
        about = [self._keys.ranking_names(tenant, self._rule), student_id]
        return bool(self._replace(keys, [before.stored, record, self._retention_seconds, int(is_about_statistics), *about]))

    def allowing(self, tenant: str, students: Iterable[str], purpose: Purpose) -> set[str]:
        """Find the students whose data may be used for a purpose, in one round trip.

        Returns:
            Those of the given students; without one whose record cannot be read.
        """
        names = list(students)
        pipeline = self._redis.pipeline(transaction=False)
        for some in slices(names, STUDENTS_PER_CALL):
            pipeline.mget([self._keys.consent(tenant, student) for student in some])
        is_default = purpose not in self._required
        records = chain.from_iterable(pipeline.execute())
        return {
            student
            for student, record in zip(names, records, strict=True)
            if (is_default if record is None else self._allows(record, purpose))
        }

    def statistics_basis(self, tenant: str) -> str:
        """The version of the decisions on which a statistic is based; read this before them.

        Returns:
            A text that is different after any decision about ``cohort_statistics``, and after a change of the setting.
        """
        revision = cast("bytes | None", self._redis.get(self._keys.consent_revision(tenant)))
        is_required = Purpose.COHORT_STATISTICS in self._required
        return f"{int(revision or 0)}{'/required' if is_required else ''}"

    def keep(self, tenant: str, has_data: Mapping[str, bool], now: datetime) -> None:
        """Say whether students have data. Call this at least once in a retention for each student that has.

        The record of a student with data is kept for another retention; that of one without, for a retention after its last
        decision.
        """
        fixed = [self._retention_seconds, round(now.timestamp() * 1000)]
        calls = [
            ([self._keys.consent(tenant, student) for student in some], [*fixed, *(int(has_data[student]) for student in some)])
            for some in slices(has_data, STUDENTS_PER_CALL)
        ]
        run_script(self._redis, self._keep, calls)

    def erase(self, tenant: str, students: Sequence[str]) -> Erased:
        """Erase the records of students. Returns how many there were."""
        pipeline = self._redis.pipeline(transaction=False)
        for some in slices(students, STUDENTS_PER_CALL):
            pipeline.unlink(*(self._keys.consent(tenant, student) for student in some))
        return Erased(sum(pipeline.execute()))

    def export(self, tenant: str, student_id: str) -> Exported:
        """What a student has decided, oldest first."""

        def rows() -> Iterator[ExportedRow]:
            for each in self.read(tenant, student_id).history:
                at = utc_text(datetime.fromtimestamp(each.at / 1000, UTC))
                yield {"purpose": each.purpose, "given": each.given, "at": at, "role": each.role}

        return Exported("A decision about a use of the data.", EXPORTED_COLUMNS, rows)

    def _decoded(self, record: bytes | None) -> Consent:
        history = _history.decode(record) if record else []
        return Consent(history, self._required, record or b"")

    def _allows(self, record: bytes, purpose: Purpose) -> bool:
        try:
            return self._decoded(record).allows(purpose)
        except msgspec.DecodeError as error:
            _log.error("a consent record cannot be read: %s", frames(error))
            return False
