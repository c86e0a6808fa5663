"""The end of a batch is announced once, signed, on a whole stack."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
import requests
from standardwebhooks import WebhookVerificationError

from tests.integration.conftest import LiveApi
from tests.receiver import Receiver, receiving
from tests.stack import Stack, wait_for

SECONDS = 60.0
TIMEOUT = 3.0
LISTED = {"students": [{"student_id": "s-1", "components": {"quiz": 0.5}}], "compute": "mastery"}


class Tenant:
    """A tenant with a webhook secret, and a receiver of its own."""

    def __init__(self, api: LiveApi, secret: str, receiver: Receiver) -> None:
        self.api, self.secret, self.receiver = api, secret, receiver

    def submit(self, url: str | None = None, **body: Any) -> str:
        """Submit a batch of one student. Returns its id."""
        answer = self.api.post("/batch/mastery", {**LISTED, "callback_url": url or self.receiver.url, **body})
        assert answer.status_code == 202, answer.text
        batch_id: str = answer.json()["data"]["batch_id"]
        return batch_id

    def callback(self, batch_id: str) -> str | None:
        """The state of the callback."""
        state: str | None = self.api.get(f"/batch/mastery/{batch_id}").json()["data"]["callback"]
        return state

    def wait_for(self, batch_id: str, state: str) -> None:
        wait_for(lambda: self.callback(batch_id) == state, SECONDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("callbacks")


@pytest.fixture(scope="module")
def calling(folder: Path) -> Iterator[tuple[Stack, Callable[[], Receiver]]]:
    """A stack that may call receivers of this machine, and a function that starts one."""
    running: list[Receiver] = []
    with receiving(folder / "ca") as (first, authority):

        def start() -> Receiver:
            running.append(Receiver(authority))
            return running[-1]

        variables = {
            "MASTERY_CALLBACK_PRIVATE_NETWORKS": "127.0.0.0/8, ::1/128",
            "MASTERY_CALLBACK_CA_FILE": authority.file,
            "MASTERY_CALLBACK_TIMEOUT_SECONDS": str(TIMEOUT),
        }
        assert first.messages == []
        with Stack(folder / "data", **variables) as stack:
            yield stack, start
        for receiver in running:
            receiver.stop()


@pytest.fixture
def make(calling: tuple[Stack, Callable[[], Receiver]]) -> Callable[[], Tenant]:
    stack, start = calling

    def new() -> Tenant:
        name = f"t-{uuid4().hex[:12]}"
        secret = stack.mastery("webhook-secret", "create", "--tenant", name).stdout.strip()
        return Tenant(LiveApi(stack, name), secret, start())

    return new


@pytest.fixture
def tenant(make: Callable[[], Tenant]) -> Tenant:
    return make()


def test_one_signed_message(tenant: Tenant) -> None:
    """It says how the batch ended, and nothing about anybody."""
    batch_id = tenant.submit()
    tenant.wait_for(batch_id, "delivered")
    (message,) = tenant.receiver.messages
    told = message.verified(tenant.secret)
    assert (told["type"], told["data"]) == (
        "batch.ended",
        {"batch_id": batch_id, "status": "succeeded", "total": 1, "succeeded": 1, "failed": 0, "erased": 0},
    )
    assert message.headers["content-type"] == "application/json"
    assert "s-1" not in message.body.decode()


def test_a_cancelled_batch_is_announced_too(tenant: Tenant) -> None:
    """Whatever ended it."""
    batch_id = tenant.submit(url=None, priority="low")
    cancelled = requests.delete(
        f"{tenant.api.url}/batch/mastery/{batch_id}", headers=tenant.api.authorization(), timeout=SECONDS
    )
    tenant.wait_for(batch_id, "delivered")
    (message,) = tenant.receiver.messages
    expected = "cancelled" if cancelled.status_code == 200 else "succeeded"  # a worker may be faster
    assert json.loads(message.body)["data"]["status"] == expected


def test_a_receiver_that_fails_gets_it_again(tenant: Tenant) -> None:
    """After an error and after a redirect; the id stays the same, so that repetitions can be told."""
    tenant.receiver.statuses = [500, 302, 204]
    tenant.receiver.headers = {"Location": tenant.receiver.url.replace("ended", "elsewhere")}
    batch_id = tenant.submit()
    wait_for(lambda: len(tenant.receiver.messages) == 1, SECONDS)
    assert tenant.callback(batch_id) == "pending"
    tenant.wait_for(batch_id, "delivered")
    assert [message.path for message in tenant.receiver.messages] == ["/ended?batch=1"] * 3
    assert len({message.headers["webhook-id"] for message in tenant.receiver.messages}) == 1
    assert len({message.body for message in tenant.receiver.messages}) == 1
    tenant.receiver.messages[-1].verified(tenant.secret)


def test_a_receiver_that_wants_no_more(tenant: Tenant) -> None:
    """410 ends the attempts."""
    tenant.receiver.statuses = [410]
    batch_id = tenant.submit()
    tenant.wait_for(batch_id, "given_up")
    assert len(tenant.receiver.messages) == 1


def test_a_receiver_that_hangs_delays_nobody(make: Callable[[], Tenant]) -> None:
    """Other tenants' callbacks arrive meanwhile, although twenty of its own are due; and their batches are computed."""
    slow, other = make(), make()
    slow.receiver.hangs = True
    for _ in range(20):
        slow.submit()
    wait_for(lambda: bool(slow.receiver.messages), SECONDS)
    batch_id = other.submit()
    wait_for(lambda: bool(other.receiver.messages), SECONDS)
    assert len(slow.receiver.messages) < 10  # one at a time, each for the timeout
    other.wait_for(batch_id, "delivered")
    slow.receiver.goes_on.set()


def test_a_rotation(tenant: Tenant) -> None:
    """During the overlap, receivers with the old secret and those with the new one accept the message."""
    stack = tenant.api.stack
    new = stack.mastery("webhook-secret", "rotate", "--tenant", tenant.api.tenant, "--overlap", "1").stdout.strip()
    tenant.wait_for(tenant.submit(), "delivered")
    (message,) = tenant.receiver.messages
    assert message.verified(new) == message.verified(tenant.secret)
    newest = stack.mastery("webhook-secret", "rotate", "--tenant", tenant.api.tenant, "--overlap", "0").stdout.strip()
    tenant.wait_for(tenant.submit(), "delivered")
    assert tenant.receiver.messages[-1].verified(newest)
    for old in (new, tenant.secret):
        with pytest.raises(WebhookVerificationError):
            tenant.receiver.messages[-1].verified(old)


def test_workers_that_die_before_it_is_delivered(tenant: Tenant) -> None:
    """The batch has ended, and the receiver got nothing it could answer: new workers send the message again."""
    tenant.receiver.hangs = True
    batch_id = tenant.submit()
    wait_for(lambda: bool(tenant.receiver.messages), SECONDS)
    for process in psutil.Process(tenant.api.stack.process.pid).children(recursive=True):
        if "worker" in process.cmdline():
            process.kill()
    tenant.receiver.hangs = False
    tenant.receiver.goes_on.set()
    tenant.wait_for(batch_id, "delivered")
    first, *_, last = tenant.receiver.messages
    assert (first.headers["webhook-id"], first.body) == (last.headers["webhook-id"], last.body)


def test_nothing_tells_the_secrets(calling: tuple[Stack, Callable[[], Receiver]], tenant: Tenant) -> None:
    """Neither the log nor `mastery doctor`; nor does the log tell the URL, which may have a token in it."""
    stack, _ = calling
    tenant.wait_for(tenant.submit(), "delivered")
    told = stack.log() + stack.mastery("doctor", check=False).stdout
    told += "".join(path.read_text(errors="replace") for path in stack.folder.rglob("*.log"))
    assert "whsec_" not in told
    assert "/ended?batch" not in told
