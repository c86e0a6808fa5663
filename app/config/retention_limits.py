"""The times that must not exceed the retention: nothing about a student may be kept longer than evidence.

The audit trail is exempt: it has a retention of its own, and names students by pseudonyms.
"""

from collections.abc import Iterator
from typing import Protocol

DAY_SECONDS, DAY_HOURS = 86_400, 24
# Kafka deletes whole segments of a topic, and one has the records of up to this many days: consumers/kafka/topics.py.
SEGMENT_DAYS = 1


class KeptTimes(Protocol):
    """The settings that say how long something about a student is kept."""

    @property
    def retention_days(self) -> int: ...
    @property
    def batch_retention_hours(self) -> int: ...
    @property
    def idempotency_ttl_seconds(self) -> int: ...
    @property
    def jwt_max_seconds(self) -> int: ...
    @property
    def events_retention_days(self) -> int: ...
    @property
    def dlq_retention_days(self) -> int: ...
    @property
    def results_retention_days(self) -> int: ...


def retention_contradictions(settings: KeptTimes) -> Iterator[str]:
    """Settings that keep something about a student for longer than the retention, one line each."""
    days = settings.retention_days
    limit = f"MASTERY_RETENTION_DAYS ({days})"
    topics = {
        "MASTERY_EVENTS_RETENTION_DAYS": settings.events_retention_days,
        "MASTERY_DLQ_RETENTION_DAYS": settings.dlq_retention_days,
        "MASTERY_RESULTS_RETENTION_DAYS": settings.results_retention_days,
    }
    for name, kept in topics.items():
        if kept + SEGMENT_DAYS > days:
            yield f"{name}: {kept} must be below {limit}, since Kafka keeps records up to {SEGMENT_DAYS} day longer"
    if 2 * settings.batch_retention_hours > days * DAY_HOURS:
        yield (
            f"MASTERY_BATCH_RETENTION_HOURS: {settings.batch_retention_hours} is more than half of {limit}, {days * DAY_HOURS} "
            "hours: a batch may run for so long, and is then kept for so long"
        )
    if settings.idempotency_ttl_seconds > days * DAY_SECONDS:
        yield f"MASTERY_IDEMPOTENCY_TTL_SECONDS: {settings.idempotency_ttl_seconds} is longer than {limit}"
    if settings.jwt_max_seconds > days * DAY_SECONDS:
        yield f"MASTERY_JWT_MAX_SECONDS: {settings.jwt_max_seconds} is longer than {limit}: so long are revocations kept"
