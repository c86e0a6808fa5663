"""`/ready` reports beat if it does not work, but not for other failures."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import requests

from tests.stack import Stack, wait_for

SECONDS = 60.0


@contextmanager
def held(stack: Stack, name: str) -> Iterator[None]:
    """Suspend a process of the stack while the context lasts."""
    children = psutil.Process(stack.process.pid).children(recursive=True)
    process = next(each for each in children if name in each.cmdline() and "cli.main" not in each.cmdline())
    process.suspend()
    try:
        yield
    finally:
        process.resume()
        wait_for(lambda: requests.get(f"{stack.running.http_url}/ready", timeout=10).ok, SECONDS)


def problems(stack: Stack) -> dict[str, list[str]]:
    """The problems after a long time without a sweep; sweeps sent earlier may still have run a moment ago."""
    answers: list[requests.Response] = []

    def told() -> bool:
        stack.engine.redis.delete(f"{stack.engine.settings.key_prefix}:{{.tasks}}:swept")
        answers.append(requests.get(f"{stack.running.http_url}/ready", timeout=10))
        return answers[-1].status_code == 503 and "beat" in answers[-1].json()["error"]["details"]

    wait_for(told, SECONDS)
    details: dict[str, list[str]] = answers[-1].json()["error"]["details"]
    return details


def test_a_beat_that_hangs_is_told(stack: Stack) -> None:
    """Everything else is fine."""
    with held(stack, "beat"):
        assert problems(stack) == {"beat": ["has sent no sweep for lost tasks for 30 s"]}


def test_a_worker_that_hangs_is_not_beat_s_fault(stack: Stack) -> None:
    """Then the state of beat is unknown, and reported as such."""
    with held(stack, "worker"):
        assert problems(stack) == {"beat": ["is unknown: worker does not answer"], "worker": ["does not answer"]}
