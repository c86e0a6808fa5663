"""A worker that serves some of the queues."""

import json
import subprocess
import sys
from pathlib import Path

from tasks.queues import INTERACTIVE, MAINTENANCE
from tests.stack import UnmeasuredStack

ANSWER_SECONDS = 60


def test_a_worker_serves_the_queues_of_its_setting(tmp_path: Path) -> None:
    """It is asked itself, over the broker."""
    with UnmeasuredStack(tmp_path / "stack", MASTERY_WORKER_QUEUES=f"{INTERACTIVE}, {MAINTENANCE}") as stack:
        asked = subprocess.run(
            [sys.executable, "-m", "celery", "--app", "tasks.celery", "inspect", "--json", "active_queues"],
            env={**stack.environment, "MASTERY_REDIS_URL": stack.running.redis_url},
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=True,
        )
    ((_, queues),) = json.loads(asked.stdout).items()
    assert sorted(each["name"] for each in queues) == sorted((INTERACTIVE, MAINTENANCE))
