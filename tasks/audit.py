"""Tasks of the audit trail, and audit entries of other tasks."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from app.audit.entry import WORKER, AuditOutcome, Channel, Details, Entry, SystemAction, entry
from app.audit.heads import heads_as_lines
from app.audit.signed_actor import SignedActor
from app.audit.trim_trail import TRIM_AT_ONCE, TrailDamaged, trim_trail
from app.errors import ConsentWithdrawn, DependencyUnavailable, NotFound
from app.events.summarize_events import summarize_events
from app.security.access import Action
from tasks.celery import app, engine, enqueue
from tasks.slices import finish_in_slice
from tasks.timing import TASK_SECONDS

_log = logging.getLogger(__name__)


@app.task(name="audit.summarize", ignore_result=True, autoretry_for=(), throws=(DependencyUnavailable,))
def summarize() -> None:
    """Audit the number of each tenant's recorded events; beat sends this every five minutes."""
    summarize_events(
        trails=engine().audit, tenants=engine().mastery.tenants, event_totals=engine().event_totals, now=engine().clock()
    )


@app.task(name="audit.trim", ignore_result=True, soft_time_limit=TASK_SECONDS)
def trim() -> None:
    """Remove entries older than the retention, in slices; beat sends this every day. A damaged trail is left unchanged."""

    def work() -> Iterator[None]:
        trails, now = engine().audit, engine().clock()
        limit = now - timedelta(days=engine().settings.audit_retention_days)
        for trail in trails.trails():
            try:
                while trim_trail(trail, limit, trails=trails, now=now) == TRIM_AT_ONCE:
                    yield
            except TrailDamaged as error:
                _log.error("%s; `mastery audit verify --tenant %s` finds where", error, trail)

    if not finish_in_slice(work()):
        enqueue(trim)


@app.task(name="audit.export_heads", ignore_result=True, autoretry_for=(), throws=(DependencyUnavailable,))
def export_heads() -> None:
    """Append each trail's head to the file of the settings; beat sends this if a file is set."""
    path = engine().settings.audit_heads_file
    lines = "".join(heads_as_lines(trails=engine().audit, now=engine().clock()))
    try:
        Path(path).touch(mode=0o600)  # owner only, if it is new
        with Path(path).open("a", encoding="ascii") as file:
            file.write(lines)  # in one write, so that lines of two workers do not mix
    except OSError as error:
        _log.error("MASTERY_AUDIT_HEADS_FILE: %s cannot be written, heads are kept nowhere: %s", path, error.strerror)


@contextmanager
def audited(tenant: str, action: str, student_id: str, signed_actor: SignedActor | None) -> Iterator[None]:
    """Append an entry about the action within the context, also if it fails. Without the entry, the action fails too.

    The entry names the signed actor, or the worker if the actor was not proven (None). Raises DependencyUnavailable when the
    entry cannot be written.

    Raises:
        NotFound: The action raised it.
        ConsentWithdrawn: The action raised it.
    """
    outcome = AuditOutcome.FAILED
    try:
        yield
        outcome = AuditOutcome.DONE
    except NotFound:
        outcome = AuditOutcome.NOT_FOUND
        raise
    except ConsentWithdrawn:
        outcome = AuditOutcome.DENIED
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


def note_listed(tenant: str, cohort_id: str, signed_actor: SignedActor | None, action: Action, students: Sequence[str]) -> None:
    """Append an entry about students whose data a list of those at risk has read, for the action of who asked for it."""
    trails = engine().audit
    whose = [trails.pseudonym(tenant, student_id) for student_id in students]
    trails.append(tenant, _of_cohort(action, {"cohort_id": cohort_id}, signed_actor, whose))


def note_trend(tenant: str, cohort_id: str, signed_actor: SignedActor | None, students: int) -> None:
    """Append an entry about a cohort's trend, and of how many students it is: a statistic, so it names none."""
    details: Details = {"cohort_id": cohort_id, "students": students}
    engine().audit.append(tenant, _of_cohort(Action.READ_COHORT, details, signed_actor))


def note_compared(tenant: str, cohort_a: str, cohort_b: str, signed_actor: SignedActor | None) -> None:
    """Append an entry about two cohorts that were compared: statistics, so it names no student."""
    details: Details = {"cohort_a": cohort_a, "cohort_b": cohort_b}
    engine().audit.append(tenant, _of_cohort(Action.COMPARE_COHORTS, details, signed_actor))


def _of_cohort(action: Action, details: Details, signed_actor: SignedActor | None, whose: list[str] | None = None) -> Entry:
    return entry(
        engine().clock(),
        Channel.TASK,
        signed_actor.actor if signed_actor else WORKER,
        action,
        whose=whose,
        correlation_id=signed_actor.correlation_id if signed_actor else "",
        details=details if signed_actor else details | {"asked_by": "unproven"},
    )


def note_scored(tenant: str, forecasts: int) -> None:
    """Append an entry about forecasts that were scored."""
    made = entry(engine().clock(), Channel.TASK, WORKER, SystemAction.SCORE_FORECASTS, details={"forecasts": forecasts})
    engine().audit.append(tenant, made)


def note_published(tenant: str, students: int) -> None:
    """Append an entry about students whose scores were read to publish statistics of their cohorts."""
    made = entry(engine().clock(), Channel.TASK, WORKER, SystemAction.PUBLISH_STATISTICS, details={"students": students})
    engine().audit.append(tenant, made)


def note_refresh(tenant: str, students: int) -> None:
    """Append an entry about refreshed scores and expired evidence."""
    made = entry(engine().clock(), Channel.TASK, WORKER, SystemAction.REFRESH_MASTERY, details={"students": students})
    engine().audit.append(tenant, made)
