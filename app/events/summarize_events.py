"""Audits the number of recorded events. An audit entry per event would double the load."""

from datetime import datetime

from app.audit.entry import WORKER, Channel, SystemAction, entry
from app.audit.trail import AuditTrail
from app.events.event_totals import EventTotals
from app.mastery.stores import TenantStore


def summarize_events(*, trails: AuditTrail, tenants: TenantStore, event_totals: EventTotals, now: datetime) -> int:
    """Append the event totals of each tenant whose totals changed since the last call.

    A concurrent call or a crash may append the same totals twice, which is harmless. Raises DependencyUnavailable.

    Returns:
        The number of tenants with changes.
    """
    summarized = 0
    for tenant in tenants.all():
        totals = event_totals.of(tenant)
        text = ",".join(map(str, totals))
        if any(totals) and trails.last_summary(tenant) != text.encode():
            trails.append(tenant, entry(now, Channel.TASK, WORKER, SystemAction.RECORD_EVENTS, details=totals._asdict()))
            trails.keep_summary(tenant, text)
            summarized += 1
    return summarized
