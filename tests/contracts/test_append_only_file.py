"""Deleted data leaves Redis's append-only file."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from app.bootstrap import Engine, bootstrap
from app.config.settings import load_settings
from app.errors import DependencyUnavailable
from app.storage.append_only_file import rewrite_append_only_file
from cli.stack.embedded import embedded
from tests.contracts.conftest import TODAY, merge, observation
from tests.contracts.test_script_rights import user_without
from tests.stack import wait_for, without_settings

SECONDS = 30.0
STUDENT = "s-deleted-42"


class Stored(NamedTuple):
    """An engine on a server of its own, and the folder with the server's files."""

    engine: Engine
    folder: Path

    def has(self, text: str) -> bool:
        """Whether a file of the server has this text."""
        return any(text.encode() in path.read_bytes() for path in self.folder.rglob("*") if path.is_file())

    def is_rewritten(self) -> bool:
        info = self.engine.redis.info("persistence")
        return not (info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"])


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    folder = tmp_path / "valkey"
    with embedded("valkey", str(folder), "0") as url:
        engine = bootstrap(load_settings({"MASTERY_REDIS_URL": url}))
        yield Stored(engine, folder)
        engine.redis.close()


def test_it_is_rewritten_without_what_was_deleted(stored: Stored) -> None:
    """And not again before something is written."""
    merge(stored.engine, observation(1, TODAY, 2, 1, 1), student=STUDENT)
    stored.engine.redis.flushall()
    wait_for(lambda: stored.has(STUDENT), SECONDS)  # written every second
    assert rewrite_append_only_file(stored.engine.redis)
    wait_for(lambda: not stored.has(STUDENT) and stored.is_rewritten(), SECONDS)
    assert not rewrite_append_only_file(stored.engine.redis)


def test_the_task_rewrites_it(stored: Stored) -> None:
    """As a worker runs it; the broker is the same server."""
    merge(stored.engine, observation(1, TODAY, 2, 1, 1), student=STUDENT)
    stored.engine.redis.flushall()
    wait_for(lambda: stored.has(STUDENT), SECONDS)
    environment = without_settings() | {"MASTERY_REDIS_URL": stored.engine.settings.redis_url}
    command = [sys.executable, "-c", "from tasks.privacy import rewrite_files; rewrite_files()"]
    assert subprocess.run(command, env=environment, timeout=SECONDS, check=True, capture_output=True).stderr == b""
    wait_for(lambda: not stored.has(STUDENT), SECONDS)


def test_a_server_that_does_not_permit_it(stored: Stored) -> None:
    """The error says so; it is no outage that a retry would end."""
    merge(stored.engine, observation(1, TODAY, 2, 1, 1))
    with user_without(stored.engine, "bgrewriteaof") as client, pytest.raises(DependencyUnavailable, match="does not permit"):
        rewrite_append_only_file(client)


def test_a_server_without_the_file(installed_redis: str) -> None:
    """There is nothing to do."""
    engine = bootstrap(load_settings({"MASTERY_REDIS_URL": installed_redis}))
    assert not rewrite_append_only_file(engine.redis)
    engine.redis.close()
