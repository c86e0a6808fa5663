"""Rate limits across several API processes, and while Redis is unavailable."""

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from app.config.settings import Settings, load_settings
from app.security.rate_limits import PAUSE_SECONDS
from cli.stack.embedded import embedded
from cli.stack.ports import claim_port
from tests.integration.conftest import api_with, assert_refused, get, left, token
from tests.stack import wait_for

QUERY = {"student_id": "s-1"}


@contextmanager
def served(settings: Settings, folder: Path, **variables: str) -> Iterator[str]:
    """The API as it is deployed, in its own process; yields its URL."""
    port = claim_port()
    environment = {
        **os.environ,
        "MASTERY_REDIS_URL": settings.redis_url,
        "MASTERY_KEY_PREFIX": settings.key_prefix,
        "MASTERY_KAFKA_BOOTSTRAP": "127.0.0.1:1",  # where nothing listens: no event is sent
        "MASTERY_HTTP_PORT": str(port),
        **variables,
    }
    command = [sys.executable, "-m", "gunicorn", "--config", "python:api.server"]
    with (folder / f"api-{port}.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _lives(url), 30)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(15)
        finally:
            process.kill()


def _lives(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).ok
    except requests.RequestException:
        return False


def test_processes_count_together(settings: Settings, tmp_path: Path) -> None:
    """Two API processes grant a caller as many requests as one."""
    headers = {"Authorization": f"Bearer {token(settings)}"}
    with served(settings, tmp_path) as one, served(settings, tmp_path) as other:
        answers = [
            requests.post(f"{url}/mastery/query", json=QUERY, headers=headers, timeout=10)
            for _ in range(26)
            for url in (one, other)
        ]
    assert [answer.status_code for answer in answers] == [404] * 50 + [429] * 2
    assert [left(answer) for answer in answers] == [*reversed(range(50)), 0, 0]
    assert_refused(answers[-1], "50 per minute")


def test_a_deployed_process_behind_a_proxy(settings: Settings, tmp_path: Path) -> None:
    """gunicorn's process uses the settings for proxies and limits."""
    variables = {"MASTERY_HTTP_TRUSTED_PROXIES": "1", "MASTERY_RATELIMIT_ANONYMOUS": "1/minute"}
    with served(settings, tmp_path, **variables) as url:
        codes = [
            requests.get(url, headers={"X-Forwarded-For": address}, timeout=10).status_code
            for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2")
        ]
    assert codes == [200, 429, 200]


def test_without_redis_and_with_it_again(
    state: ExitStack, state_port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without Redis each process counts alone with the same limits; soon after it is back, they count together."""
    settings = load_settings({"MASTERY_REDIS_URL": f"redis://127.0.0.1:{state_port}/0"})
    caplog.set_level(logging.INFO, "app.security.rate_limits")
    with (
        api_with(settings, ratelimit_anonymous="4/hour", ratelimit_mastery="3/minute") as one,
        api_with(settings, ratelimit_anonymous="4/hour") as other,
    ):
        assert [left(get(one)), left(get(other))] == [3, 2]
        state.close()
        for api in (one, other):
            answers = [get(api) for _ in range(5)]
            assert [(answer.status_code, left(answer)) for answer in answers] == [*((200, n) for n in (3, 2, 1, 0)), (429, 0)]
            assert_refused(answers[-1], "4 per hour")
        assert [one.post("/mastery/query", QUERY).status_code for _ in range(4)] == [503] * 3 + [429]
        state.enter_context(embedded("valkey", str(tmp_path / "state"), str(state_port)))
        back = time.monotonic()
        wait_for(lambda: get(one).status_code == 200, PAUSE_SECONDS + 5)  # the third one of four
        assert time.monotonic() - back < PAUSE_SECONDS + 1
        wait_for(lambda: get(other).status_code == 200, PAUSE_SECONDS + 5)
        assert [get(api).status_code for api in (one, other)] == [429, 429]
    alone, together = "redis is unavailable: this process counts requests alone", "requests are counted for all processes again"
    ours = [record.message.partition(" (")[0] for record in caplog.records if record.name == "app.security.rate_limits"]
    assert ours == [alone, alone, together, together]


def test_a_redis_that_hangs() -> None:
    """The first request waits for a silent Redis until the timeout; later ones get a response at once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        settings = load_settings({"MASTERY_REDIS_URL": url, "MASTERY_REDIS_TIMEOUT_SECONDS": "0.2"})
        with api_with(settings) as api:
            assert 0.2 <= seconds(lambda: get(api)) < 10
            assert sum(seconds(lambda: get(api)) for _ in range(10)) < 0.2


def seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began
