"""Say in the trail how many events the workers recorded: an entry for each would be as many entries as events."""

from datetime import datetime

from app.audit.entry import WORKER, Channel, SystemAction, entry
from app.audit.trail import AuditTrail
from app.events.event_totals import EventTotals
from app.mastery.stores import TenantStore


def summarize_events(*, trails: AuditTrail, tenants: TenantStore, event_totals: EventTotals, now: datetime) -> int:
    """Append, for each tenant with news since the last time, the totals of its events so far; returns for how many.

    Two that do so at once, or a crash in between, say the same twice: they are totals. Raises DependencyUnavailable.
    """
    told = 0
    for tenant in tenants.all():
        totals = event_totals.of(tenant)
        text = ",".join(map(str, totals))
        if any(totals) and trails.last_summary(tenant) != text.encode():
            trails.append(tenant, entry(now, Channel.TASK, WORKER, SystemAction.RECORD_EVENTS, details=totals._asdict()))
            trails.keep_summary(tenant, text)
            told += 1
    return told
