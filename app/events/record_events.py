"""Record learning events: each one's evidence enters its student's facts once, and the score follows."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from app.clock import Day, day_number
from app.events.event import Event
from app.events.observe import observe
from app.mastery.derive_scores import derive_scores
from app.mastery.evidence import Observation
from app.mastery.stores import MasteryStores


class Evidence(NamedTuple):
    """What one event says of its student; no observation where it is older than the retention."""

    tenant_id: str
    student_id: str
    observation: Observation | None


class RecordedEvents(NamedTuple):
    """How many events of a call were applied, known already, or older than the retention; and why some students' were not."""

    applied: int
    duplicates: int
    expired: int
    errors: dict[tuple[str, str], str]  # by tenant and student


def evidence(event: Event, moment: datetime, first_day: Day) -> Evidence:
    """The evidence of an event at a moment in UTC, when the retention begins on ``first_day``."""
    observation = None if day_number(moment) < first_day else observe(event, moment)
    return Evidence(event.tenant_id, event.student_id, observation)


def record_events(events: Iterable[tuple[Event, datetime]], *, stores: MasteryStores, now: datetime) -> RecordedEvents:
    """Record events, each with its moment in UTC, of any tenants and in any order; repeating the call changes nothing.

    Raises DependencyUnavailable when the store does not answer: some of the events may be recorded then, and all may be
    sent again.
    """
    first_day = day_number(now) - stores.facts.retention_days + 1
    return record_evidence([evidence(event, moment, first_day) for event, moment in events], stores=stores, now=now)


def record_evidence(
    found: Iterable[Evidence], *, stores: MasteryStores, now: datetime, chunk_id: str | None = None, repeat_only: bool = False
) -> RecordedEvents:
    """Record evidence as ``record_events`` does. That of a chunk is counted in the totals once, however often it is repeated.

    ``repeat_only`` leaves alone what no earlier attempt at the chunk has merged, and reports it among the errors.
    """
    by_tenant: dict[str, dict[str, list[Observation]]] = {}
    expired: dict[str, int] = {}
    for tenant, student, observation in found:
        if observation is None:
            expired[tenant] = expired.get(tenant, 0) + 1
        else:
            by_tenant.setdefault(tenant, {}).setdefault(student, []).append(observation)
    applied = duplicates = 0
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
        errors |= {(tenant, student.student_id): student.error for student in merged if student.error is not None}
    return RecordedEvents(applied, duplicates, sum(expired.values()), errors)
