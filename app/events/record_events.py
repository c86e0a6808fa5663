"""Records learning events: merges their evidence into students' facts exactly once, and updates the scores."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from app.clock import Day, day_number
from app.events.event import Event
from app.events.event_evidence import observe
from app.mastery.derive_scores import derive_scores
from app.mastery.evidence import Observation
from app.mastery.facts import first_retained_day
from app.mastery.stores import MasteryStores


class Evidence(NamedTuple):
    """One event's evidence about a student; ``observation`` is None if the event is older than the retention."""

    tenant_id: str
    student_id: str
    observation: Observation | None


class RecordedEvents(NamedTuple):
    """The numbers of a call's events by result, and the errors of students without recorded events.

    ``erased`` events are not later than the erasure of their student.
    """

    applied: int
    duplicates: int
    expired: int
    erased: int
    errors: dict[tuple[str, str], str]  # by (tenant, student)


def evidence(event: Event, moment: datetime, first_day: Day) -> Evidence:
    """The evidence of an event at a moment in UTC; the retention begins on ``first_day``."""
    observation = None if day_number(moment) < first_day else observe(event, moment)
    return Evidence(event.tenant_id, event.student_id, observation)


def record_events(events: Iterable[tuple[Event, datetime]], *, stores: MasteryStores, now: datetime) -> RecordedEvents:
    """Record events, each with its moment in UTC, of any tenants and in any order. Idempotent.

    Raises DependencyUnavailable when Redis does not answer; some events may be recorded, and all may be sent again.

    Returns:
        The numbers of events by result.
    """
    first_day = first_retained_day(day_number(now), stores.facts.retention_days)
    return record_evidence([evidence(event, moment, first_day) for event, moment in events], stores=stores, now=now)


def record_evidence(
    found: Iterable[Evidence], *, stores: MasteryStores, now: datetime, chunk_id: str | None = None, repeat_only: bool = False
) -> RecordedEvents:
    """Record evidence, as ``record_events`` does. The totals count the events of a repeated chunk once.

    ``repeat_only`` skips evidence that no earlier attempt at the chunk has merged, and reports it as errors.

    Returns:
        The numbers of events by result, and the errors.
    """
    by_tenant: dict[str, dict[str, list[Observation]]] = {}
    expired: dict[str, int] = {}
    for tenant, student, observation in found:
        if observation is None:
            expired[tenant] = expired.get(tenant, 0) + 1
        else:
            by_tenant.setdefault(tenant, {}).setdefault(student, []).append(observation)
    applied = duplicates = erased = 0
    errors: dict[tuple[str, str], str] = {}
    for tenant in by_tenant.keys() | expired.keys():
        merged = stores.facts.merge(
            tenant,
            by_tenant.get(tenant, {}),
            day_number(now),
            expired=expired.get(tenant, 0),
            chunk_id=chunk_id,
            repeat_only=repeat_only,
        )
        derive_scores(tenant, merged, stores=stores, now=now)
        applied += sum(student.outcomes.count("1") for student in merged)
        duplicates += sum(student.outcomes.count("0") for student in merged)
        expired[tenant] = expired.get(tenant, 0) + sum(student.outcomes.count("x") for student in merged)
        erased += sum(student.outcomes.count("e") for student in merged)
        errors |= {(tenant, student.student_id): student.error for student in merged if student.error is not None}
    return RecordedEvents(applied, duplicates, sum(expired.values()), erased, errors)
