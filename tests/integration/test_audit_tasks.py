"""Workers' actions are in the audit trail: on a whole stack, with real tasks."""

import dataclasses
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery.schedules import crontab
from kombu import Connection

from app.audit.entry import OPERATORS, Actor, AuditOutcome, Channel, Entry, SystemAction, entry
from app.audit.heads import read_lines
from app.audit.verify_trail import verify_trail
from app.bootstrap import Engine, bootstrap
from app.config.settings import Settings
from app.events.event_totals import Totals
from app.events.summarize_events import summarize_events
from app.security.access import Action
from tasks import audit as tasks_audit
from tasks.audit import export_heads, summarize, trim
from tasks.celery import app as celery_app
from tasks.mastery import calculate, refresh
from tests.conftest import NOW
from tests.integration.conftest import FixedTimeApi
from tests.learning_events import quiz
from tests.stack import Stack, wait_for

SECONDS = 60.0
WEIGHTS = [0.4, 0.3, 0.2, 0.1]
KIM = Actor("teacher", "kim")


def entries(engine: Engine, tenant: str) -> list[Entry]:
    """The tenant's entries, the oldest first."""
    chain = engine.audit.chain(tenant)
    opened = [chain.open(fields) for _, fields in engine.audit.oldest_first(tenant)]
    return [each.entry for each in opened if each is not None]


def send(stack: Stack, task: Any, *arguments: Any) -> None:
    """Send a task like the API and beat."""
    settings = stack.engine.settings
    options = {"global_keyprefix": f"{settings.key_prefix}:celery:"}
    with Connection(settings.broker, transport_options=options) as connection:
        task.apply_async(args=arguments, connection=connection)


def signed_actor(engine: Engine, tenant: str, student_id: str) -> list[str]:
    """The signed actor that the API sends along for the caller Kim."""
    return list(engine.audit.actor_signer.sign([tenant, Action.CALCULATE_MASTERY, student_id, WEIGHTS], KIM, "c-1"))


def record(engine: Engine, tenant: str, *, days_ago: int = 0) -> None:
    """Evidence of one student, scored this many days ago."""
    moment = datetime.now(UTC) - timedelta(days=days_ago)
    api = FixedTimeApi(replace(engine, clock=lambda: moment))
    api.record(quiz(tenant_id=tenant, timestamp=(moment - timedelta(hours=1)).isoformat()))


class TestCalculating:
    """mastery.calculate, requested by a caller."""

    def test_it_says_who_asked_and_about_whom(self, stack: Stack, tenant: str) -> None:
        """With the request's correlation id."""
        record(stack.engine, tenant)
        send(stack, calculate, tenant, "s-1", WEIGHTS, signed_actor(stack.engine, tenant, "s-1"))
        wait_for(lambda: bool(entries(stack.engine, tenant)), SECONDS)
        (found,) = entries(stack.engine, tenant)
        assert (found.channel, found.role, found.who, found.action) == ("task", "teacher", "kim", Action.CALCULATE_MASTERY)
        assert (found.outcome, found.correlation_id) == (AuditOutcome.DONE, "c-1")
        assert found.whose == [stack.engine.audit.pseudonym(tenant, "s-1")]

    def test_it_says_that_nothing_is_known(self, stack: Stack, tenant: str) -> None:
        """The student has no evidence."""
        send(stack, calculate, tenant, "s-none", WEIGHTS, signed_actor(stack.engine, tenant, "s-none"))
        wait_for(lambda: bool(entries(stack.engine, tenant)), SECONDS)
        (found,) = entries(stack.engine, tenant)
        assert (found.outcome, len(found.whose)) == (AuditOutcome.NOT_FOUND, 1)

    def test_it_says_that_it_failed(self, stack: Stack, tenant: str) -> None:
        """For an unexpected reason. A task sent by an earlier version, without an actor, is attributed to the worker."""
        stack.engine.redis.set(f"{stack.engine.settings.key_prefix}:{{{tenant}}}:student:s-1", "no record")
        send(stack, calculate, tenant, "s-1", WEIGHTS)
        wait_for(lambda: bool(entries(stack.engine, tenant)), SECONDS)
        (found,) = entries(stack.engine, tenant)
        assert (found.outcome, found.role, found.who) == (AuditOutcome.FAILED, "system", "worker")


def test_a_refresh_says_of_how_many(stack: Stack, tenant: str) -> None:
    """One entry for a tenant and run; none if there was nothing to do."""
    record(stack.engine, tenant, days_ago=3)
    send(stack, refresh)
    wait_for(lambda: bool(entries(stack.engine, tenant)), SECONDS)
    record(stack.engine, other := uuid4().hex, days_ago=3)
    send(stack, refresh)
    wait_for(lambda: bool(entries(stack.engine, other)), SECONDS)
    for each in (tenant, other):
        (found,) = (one for one in entries(stack.engine, each) if one.action == SystemAction.REFRESH_MASTERY)
        assert (found.role, found.details) == ("system", {"students": 1})


class TestSummaries:
    """audit.summarize: the totals of recorded events, instead of an entry for each event."""

    def test_a_worker_notes_the_totals(self, stack: Stack, tenant: str) -> None:
        """For each tenant with changes."""
        record(stack.engine, tenant)
        send(stack, summarize)
        wait_for(lambda: bool(entries(stack.engine, tenant)), SECONDS)
        record(stack.engine, tenant)
        send(stack, summarize)
        wait_for(lambda: len(entries(stack.engine, tenant)) == 2, SECONDS)
        assert [(each.action, each.role, each.who, each.details) for each in entries(stack.engine, tenant)] == [
            ("events.record", "system", "worker", {"applied": applied, "duplicates": 0, "expired": 0, "erased": 0})
            for applied in (1, 2)
        ]

    def test_tenants_without_news_are_left_alone(self, engine: Engine) -> None:
        """So are those without any applied, repeated or expired event."""
        engine.redis.sadd(f"{engine.settings.key_prefix}:tenants", "t-0")
        FixedTimeApi(engine).record(quiz(), quiz(tenant_id="t-2"))

        def summaries() -> int:
            return summarize_events(
                trails=engine.audit, tenants=engine.mastery.tenants, event_totals=engine.event_totals, now=NOW
            )

        assert [summaries(), summaries()] == [2, 0]
        FixedTimeApi(engine).record(quiz())
        assert summaries() == 1
        assert engine.event_totals.of("t-1") == Totals(applied=2)
        assert engine.audit.trails() == ["t-1", "t-2"]


def test_old_entries_are_trimmed_and_damaged_trails_are_not(stack: Stack, tenant: str) -> None:
    """After the configured number of days; the log names a damaged trail."""
    audit, damaged = stack.engine.audit, f"{tenant}-d"
    old = datetime.now(UTC) - timedelta(days=stack.engine.settings.audit_retention_days, minutes=1)
    for trail in (damaged, tenant):
        for moment in (old, old, datetime.now(UTC)):
            audit.append(trail, entry(moment, Channel.COMMAND, Actor("operator", "root"), "dlq.list"))
    key = f"{stack.engine.settings.key_prefix}:{{{damaged}}}:audit"
    stack.engine.redis.xdel(key, next(audit.oldest_first(damaged))[0])
    send(stack, trim)
    wait_for(lambda: [each.action for each in entries(stack.engine, tenant)] == ["dlq.list", "audit.trim"], SECONDS)
    assert verify_trail(tenant, trails=audit).findings == []
    wait_for(lambda: f"mastery audit verify --tenant {damaged}" in stack.log(), SECONDS)
    assert len(verify_trail(damaged, trails=audit).findings) == 1
    assert len(entries(stack.engine, damaged)) == 2
    stack.engine.redis.delete(key, f"{key}-head")
    stack.engine.redis.srem(f"{stack.engine.settings.key_prefix}:audited", damaged)


class TestHeads:
    """audit.export_heads: the heads of trails, stored outside Redis."""

    @pytest.fixture
    def exporting(self, settings: Settings, tmp_path: Path) -> Iterator[Engine]:
        """A worker's engine with a file in its settings."""
        made = bootstrap(dataclasses.replace(settings, audit_heads_file=str(tmp_path / "heads")), clock=lambda: NOW)
        with closing(made.redis), pytest.MonkeyPatch.context() as patch:
            patch.setattr(tasks_audit, "engine", lambda: made)
            yield made

    def test_each_run_adds_a_line_for_each_trail(self, exporting: Engine, tmp_path: Path) -> None:
        """With the head; not for names that somebody added to Redis."""
        made = entry(NOW, Channel.API, Actor("admin", "kim"), "mastery.query")
        for trail in ("t-1", OPERATORS, "t-1"):
            exporting.audit.append(trail, made)
            export_heads()
        exporting.redis.sadd(f"{exporting.settings.key_prefix}:audited", "t-2 1:00\n2026 t-1", "gone")
        export_heads()
        names = [line.split(" ")[1] for line in (tmp_path / "heads").read_text().splitlines()]
        assert names == ["t-1", OPERATORS, "t-1", OPERATORS, "t-1", OPERATORS, "t-1"]
        heads = read_lines((tmp_path / "heads").read_text().splitlines())
        assert {head.sequence for head in heads["t-1"]} == {1, 2}
        assert heads[OPERATORS] == {exporting.audit.ends(OPERATORS).head}
        assert (tmp_path / "heads").read_text().startswith("2026-10-28T12:00:00.000Z t-1 1:")
        assert stat.S_IMODE((tmp_path / "heads").stat().st_mode) == 0o600

    def test_a_file_that_cannot_be_written_is_told(
        self, exporting: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """In the log, at each run; it does not affect anything else."""
        (tmp_path / "heads").mkdir()
        export_heads()
        assert caplog.messages == [
            f"MASTERY_AUDIT_HEADS_FILE: {tmp_path / 'heads'} cannot be written, heads are kept nowhere: Is a directory"
        ]
        assert exporting.audit.trails() == []

    def test_beat_sends_it_where_a_file_is_named(self) -> None:
        """At the configured interval."""
        script = "from celeryconfig import beat_schedule; print(beat_schedule.get('export-audit-heads'))"

        def scheduled(**names: str) -> str:
            command = [sys.executable, "-c", script]
            return subprocess.run(command, env=os.environ | names, capture_output=True, text=True, check=True).stdout

        assert scheduled() == "None\n"
        assert scheduled(MASTERY_AUDIT_HEADS_FILE="/x", MASTERY_AUDIT_HEADS_SECONDS="60") == (
            "{'task': 'audit.export_heads', 'schedule': 60.0}\n"
        )
        assert celery_app.conf.task_routes["audit.export_heads"] == {"queue": "maintenance"}


@pytest.mark.parametrize("name", ["audit.summarize", "audit.trim"])
def test_beat_sends_them_to_a_queue_that_workers_read(name: str) -> None:
    """Otherwise they would not run."""
    celery_app.loader.import_default_modules()
    assert name in celery_app.tasks
    assert celery_app.conf.task_routes[name] == {"queue": "maintenance"}
    (beat,) = [each for each in celery_app.conf.beat_schedule.values() if each["task"] == name]
    assert beat["schedule"] == {"audit.summarize": 300.0, "audit.trim": crontab(hour=3, minute=31)}[name]
