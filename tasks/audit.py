"""Tasks of the audit trail, and what other tasks write into it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from app.audit.entry import WORKER, AuditOutcome, Channel, SystemAction, entry
from app.audit.heads import heads_as_lines
from app.audit.signed_actor import SignedActor
from app.audit.trim_trail import TRIM_AT_ONCE, TrailDamaged, trim_trail
from app.errors import DependencyUnavailable, NotFound
from app.events.summarize_events import summarize_events
from tasks.celery import app, engine
from tasks.delivery import TASK_SECONDS

_log = logging.getLogger(__name__)


@app.task(name="audit.summarize", ignore_result=True, autoretry_for=(), throws=(DependencyUnavailable,))
def summarize() -> None:
    """Note how many events of each tenant were recorded so far; beat sends this every five minutes."""
    summarize_events(
        trails=engine().audit, tenants=engine().mastery.tenants, event_totals=engine().event_totals, now=engine().clock()
    )


@app.task(
    name="audit.trim",
    ignore_result=True,
    soft_time_limit=TASK_SECONDS,  # some millions of entries; the next day goes on
)
def trim() -> None:
    """Remove entries that are older than the settings say; beat sends this every day. A damaged trail is left as it is."""
    trails, now = engine().audit, engine().clock()
    limit = now - timedelta(days=engine().settings.audit_retention_days)
    for trail in trails.trails():
        try:
            while trim_trail(trail, limit, trails=trails, now=now) == TRIM_AT_ONCE:
                pass
        except TrailDamaged as error:
            _log.error("%s; `mastery audit verify --tenant %s` finds where", error, trail)


@app.task(name="audit.export_heads", ignore_result=True, autoretry_for=(), throws=(DependencyUnavailable,))
def export_heads() -> None:
    """Note where each trail ends in the file that the settings name; beat sends this where they name one."""
    path = engine().settings.audit_heads_file
    lines = "".join(heads_as_lines(trails=engine().audit, now=engine().clock()))
    try:
        Path(path).touch(mode=0o600)  # for its owner, where it is new
        with Path(path).open("a", encoding="ascii") as file:
            file.write(lines)  # at once: those of two workers do not mix
    except OSError as error:
        _log.error("MASTERY_AUDIT_HEADS_FILE: %s cannot be written, heads are kept nowhere: %s", path, error.strerror)


@contextmanager
def audited(tenant: str, action: str, student_id: str, signed_actor: SignedActor | None) -> Iterator[None]:
    """Write an entry about what is done within; its failure if it fails. What is not in the trail is not done.

    It is in the name of who asked, or in the worker's own where that was not proven (None). Raises DependencyUnavailable when
    the entry cannot be written.
    """
    outcome = AuditOutcome.FAILED
    try:
        yield
        outcome = AuditOutcome.DONE
    except NotFound:
        outcome = AuditOutcome.NOT_FOUND
        raise
    finally:
        trails = engine().audit
        made = entry(
            engine().clock(),
            Channel.TASK,
            signed_actor.actor if signed_actor else WORKER,
            action,
            outcome=outcome,
            whose=[trails.pseudonym(tenant, student_id)],
            correlation_id=signed_actor.correlation_id if signed_actor else "",
            details={} if signed_actor else {"asked_by": "unproven"},
        )
        trails.append(tenant, made)


def note_refresh(tenant: str, students: int) -> None:
    """Write an entry about scores that were brought up to date, and evidence that expired meanwhile."""
    made = entry(engine().clock(), Channel.TASK, WORKER, SystemAction.REFRESH_MASTERY, details={"students": students})
    engine().audit.append(tenant, made)
