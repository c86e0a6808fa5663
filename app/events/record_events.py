"""Record learning events: each one's evidence enters its student's facts once, and the score follows."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from app.clock import day_number
from app.events.event import Event
from app.events.observation import Observation, observe
from app.mastery.derive_scores import derive_scores
from app.mastery.store import MasteryStore


class Outcome(NamedTuple):
    """How many events of a call were applied, known already, or older than the retention."""

    applied: int = 0
    duplicates: int = 0
    expired: int = 0


def record_events(events: Iterable[tuple[Event, datetime]], *, store: MasteryStore, now: datetime) -> Outcome:
    """Record events, each with its moment in UTC, of any tenants and in any order; repeating the call changes nothing.

    Raises DependencyUnavailable when the store does not answer: some of the events may be recorded then, and all may be
    sent again.
    """
    today = day_number(now)
    oldest = today - store.retention_days + 1
    by_tenant: dict[str, dict[str, list[Observation]]] = {}
    expired: dict[str, int] = {}
    for event, moment in events:
        tenant = event.tenant_id
        if day_number(moment) < oldest:
            expired[tenant] = expired.get(tenant, 0) + 1
        else:
            by_tenant.setdefault(tenant, {}).setdefault(event.student_id, []).append(observe(event, moment))
    applied = duplicates = 0
    for tenant in by_tenant.keys() | expired.keys():
        merged = store.merge(tenant, by_tenant.get(tenant, {}), today, expired=expired.get(tenant, 0))
        derive_scores(tenant, merged, store=store)
        applied += sum(student.outcomes.count("1") for student in merged)
        duplicates += sum(student.outcomes.count("0") for student in merged)
        expired[tenant] = expired.get(tenant, 0) + sum(student.outcomes.count("x") for student in merged)
    return Outcome(applied, duplicates, sum(expired.values()))
