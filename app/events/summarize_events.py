"""Say in the trail how many events the workers recorded: an entry for each would be as many entries as events."""

from datetime import datetime

from app.audit.entry import WORKER, Channel, SystemAction, entry
from app.audit.trail import AuditTrail
from app.mastery.store import MasteryStore


def summarize_events(*, trails: AuditTrail, store: MasteryStore, now: datetime) -> int:
    """Append, for each tenant with news since the last time, the totals of its events so far; returns for how many.

    Two that do so at once, or a crash in between, say the same twice: they are totals. Raises DependencyUnavailable.
    """
    told = 0
    for tenant in store.tenants():
        totals = store.totals(tenant)
        text = ",".join(map(str, totals))
        if any(totals) and trails.last_summary(tenant) != text.encode():
            trails.append(tenant, entry(now, Channel.TASK, WORKER, SystemAction.RECORD_EVENTS, details=totals._asdict()))
            trails.keep_summary(tenant, text)
            told += 1
    return told
