"""What tests of ``mastery batch`` use: students, batches that the test itself computes, and the commands."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from click.testing import CliRunner, Result

from app.batches.batch import Batch, BatchKey
from app.batches.submit_batch import BatchRequest, submit_batch
from app.bootstrap import Engine, bootstrap
from app.config.settings import Settings
from app.events.event import decode_event
from app.events.record_events import record_events
from app.mastery.formula import DEFAULT_WEIGHTS
from app.roles import Role
from app.security.access import Principal
from cli.main import main
from tests.batch_tasks import run_task, run_tasks
from tests.learning_events import quiz

SECONDS = 60.0
OPERATOR = Principal("operator", Role.ADMIN, "t-1")


def record(engine: Engine, tenant: str, students: Sequence[str]) -> None:
    """Record an event of yesterday for each student, like the worker."""
    now = engine.clock()
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    events = [quiz(tenant_id=tenant, student_id=student, timestamp=yesterday) for student in students]
    record_events([decode_event(json.dumps(event).encode(), now) for event in events], stores=engine.mastery, now=now)


class BatchDesk:
    """An engine without a worker, whose batches the test computes, and commands that run on it."""

    def __init__(self, settings: Settings) -> None:
        self.engine = bootstrap(settings)
        self.environment = {
            "MASTERY_REDIS_URL": settings.redis_url,
            "MASTERY_KAFKA_BOOTSTRAP": "127.0.0.1:9",
            "MASTERY_KEY_PREFIX": settings.key_prefix,
        }

    def submit(self, batch_id: str, **asked: Any) -> BatchKey:
        """Store a batch of t-1 like the command; nothing computes it yet."""
        wanted = BatchRequest(batch_id, b"", DEFAULT_WEIGHTS, **asked)
        engine = self.engine
        submit_batch(wanted, OPERATOR, (), stores=engine.mastery, batches=engine.batches, now=engine.clock())
        return BatchKey("t-1", batch_id)

    def step(self, key: BatchKey) -> bool:
        """Compute a chunk. Returns whether there may be another one."""
        return run_task(self.engine, key).goes_on

    def compute(self, key: BatchKey) -> Batch:
        """Compute all of a batch."""
        return run_tasks(self.engine, key)

    def run(self, *arguments: str, given: str | None = None) -> Result:
        """Run ``mastery batch … --tenant t-1`` in this process."""
        line = ["batch", *arguments, *([] if "--tenant" in arguments else ["--tenant", "t-1"])]
        done = CliRunner().invoke(main, line, env=self.environment, input=given)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    def start(self, *arguments: str, stdout: int = subprocess.PIPE) -> "subprocess.Popen[bytes]":
        """Run ``mastery batch … --tenant t-1`` as a separate process."""
        return subprocess.Popen(
            [sys.executable, "-m", "cli.main", "batch", *arguments, "--tenant", "t-1"],
            env={**os.environ, **self.environment, "TERM": "xterm", "COLUMNS": "150"},
            stdout=stdout,
            stderr=subprocess.STDOUT,
        )


@contextmanager
def new_batch_desk(settings: Settings) -> Iterator[BatchDesk]:
    """A desk on which the tenant t-1 has the students s-0, s-1 and s-2 in the cohort c-1."""
    desk = BatchDesk(settings)
    record(desk.engine, "t-1", ["s-0", "s-1", "s-2"])
    yield desk
    desk.engine.redis.close()
