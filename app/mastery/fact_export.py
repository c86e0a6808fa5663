"""What an export has of a student's facts. ``merge_evidence.lua`` and ``put_scores.lua`` describe the stored values."""

from collections.abc import Iterator, Mapping
from typing import Any, cast
from uuid import UUID

import msgpack
import redis

from app.clock import day_date, moment_of
from app.mastery.evidence import MARK_BYTES, MILLIONTHS
from app.storage.exported import Exported, ExportedRow, utc_text
from app.storage.keys import Keys

# A mark, and two bytes of the day on which it expires.
ENTRY_BYTES = MARK_BYTES + 2
# Revision, day and millionths of a student without a score; ``merge_evidence.lua`` stores such a one after an erasure.
NO_SCORE = (0, -1, -1)

DAY_COLUMNS = {
    "day": "the day, UTC",
    "correct_answers": "correct answers in quizzes",
    "questions": "questions asked in quizzes",
    "quality_millionths": "sum over submissions of the mean of their scores, in millionths",
    "submissions": "number of assessed submissions",
    "active": "whether there was activity",
    "completed_exercises": "of the day's latest completion: completed exercises",
    "total_exercises": "of the day's latest completion: all exercises",
    "completion_at": "of the day's latest completion: its time, UTC",
    "completion_event_id": "of the day's latest completion: the id of its event",
}
STANDING_COLUMNS = {
    "cohort_id": "the cohort named by the latest event that names one",
    "cohort_at": "the time of that event, UTC",
    "cohort_event_id": "the id of that event",
    "mastery": "the stored score, 0..1",
    "mastery_day": "the day for which it was computed, UTC",
    "ranked_cohort_id": "the cohort whose ranking has this score",
    "in_statistics": "whether it is in the statistics of this cohort",
    "counted_events": "number of events that are remembered, so that each counts once",
    "revision": "number of the latest change of the facts",
}


class FactExport:
    """Exports facts: the days and the standing. Reading rows raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)

    def days(self, tenant: str, student_id: str) -> Exported:
        """All stored days of a student, oldest first; also those that are older than the retention and not removed yet."""
        return Exported("A day with evidence.", DAY_COLUMNS, lambda: _days(self._record(tenant, student_id)))

    def standing(self, tenant: str, student_id: str) -> Exported:
        """What is stored of a student besides the days: one row, or none without facts."""
        return Exported("The student's current state.", STANDING_COLUMNS, lambda: self._standing(tenant, student_id))

    def _standing(self, tenant: str, student_id: str) -> Iterator[ExportedRow]:
        record = self._record(tenant, student_id)
        mark_bytes = self._redis.strlen(self._keys.marks(tenant, student_id))
        if record or mark_bytes:
            yield _standing_row(record, mark_bytes // ENTRY_BYTES)

    def _record(self, tenant: str, student_id: str) -> dict[bytes, bytes]:
        return cast("dict[bytes, bytes]", self._redis.hgetall(self._keys.student(tenant, student_id)))


def _days(record: Mapping[bytes, bytes]) -> Iterator[ExportedRow]:
    for day in sorted(int(name) for name in record if name.isdigit()):
        correct, asked, quality, submissions, active, *completion = _unpacked(record[b"%d" % day])
        completed, total, stamp, event_id = completion[:4] or [None] * 4
        values = (
            day_date(day).isoformat(),
            *(correct, asked, quality, submissions, bool(active)),
            *(completed, total, *_of_event(stamp, event_id)),
        )
        yield dict(zip(DAY_COLUMNS, values, strict=True))


def _standing_row(record: Mapping[bytes, bytes], counted_events: int) -> ExportedRow:
    stamp, event_id = _unpacked(record[b"cohort_at"])[:2] if b"cohort_at" in record else (None, None)
    _, day, millionths = _unpacked(record[b"score"])[:3] if b"score" in record else NO_SCORE
    values = (
        _text(record.get(b"cohort")),
        *_of_event(stamp, event_id),
        millionths / MILLIONTHS if millionths >= 0 else None,
        day_date(day).isoformat() if day >= 0 else None,
        _text(record.get(b"ranked")),
        b"counted" in record,
        counted_events,
        _unpacked(record[b"window"])[0] if b"window" in record else None,
    )
    return dict(zip(STANDING_COLUMNS, values, strict=True))


def _of_event(stamp: int | None, event_id: bytes | None) -> tuple[str | None, str | None]:
    """The time and the id of an event."""
    if stamp is None or event_id is None:
        return None, None
    return utc_text(moment_of(stamp)), str(UUID(bytes=event_id))


def _unpacked(packed: bytes) -> list[Any]:
    return cast("list[Any]", msgpack.unpackb(packed, raw=True))


def _text(stored: bytes | None) -> str | None:
    return None if stored is None else stored.decode()
