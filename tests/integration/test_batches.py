"""Batches on a whole stack: computed by real workers, whatever happens to them."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest
import requests

from app.batches.batch import BatchKey, BatchOrder, Item, Priority
from app.mastery.formula import DEFAULT_WEIGHTS, Components
from app.security.access import Action
from tests.integration.audit_calls import engine_trail
from tests.integration.batch_calls import BATCHES, END_SECONDS, ended
from tests.integration.conftest import LiveApi, fresh
from tests.integration.test_beat_readiness import held
from tests.learning_events import quiz
from tests.stack import Stack, wait_for

RECORDED_SECONDS = 30.0
KILLS = 6


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of this module, whose processes are killed."""
    with Stack(tmp_path_factory.mktemp("batches")) as stack:
        yield stack


@pytest.fixture
def own_api(own_stack: Stack, tenant: str) -> LiveApi:
    return LiveApi(own_stack, tenant)


def record(api: LiveApi, students: int, cohort: str = "c-1") -> None:
    """Send an event of each student, and wait until all are recorded."""
    events = [fresh(quiz(), student_id=f"s-{number}", cohort_id=cohort) for number in range(students)]
    for first in range(0, students, 500):
        answer = api.post("/mastery/ingest", {"events": events[first : first + 500]})
        assert answer.status_code == 202, answer.text
    wait_for(lambda: len(api.stack.engine.mastery.scores.members(api.tenant, cohort)) == students, RECORDED_SECONDS)


def submit(api: LiveApi, **body: Any) -> str:
    answer = api.post(BATCHES, {"compute": "mastery", **body})
    assert answer.status_code == 202, answer.text
    batch_id: str = answer.json()["data"]["batch_id"]
    return batch_id


def given(count: int) -> list[dict[str, Any]]:
    """Students that need no facts."""
    return [{"student_id": f"g-{number}", "components": {"quiz": 0.5}} for number in range(count)]


def store(api: LiveApi, batch_id: str, count: int, priority: Priority) -> None:
    """Store a batch, without sending a task: a sweep does."""
    engine, items = api.stack.engine, [Item(f"g-{number}", Components(quiz=0.5)) for number in range(count)]
    order = BatchOrder(day=1, weights=DEFAULT_WEIGHTS, owner="admin:tester", priority=priority)
    engine.batches.create(BatchKey(api.tenant, batch_id), order, b"", engine.clock(), items=items)


def state(api: LiveApi, batch_id: str) -> dict[str, Any]:
    data: dict[str, Any] = api.get(f"{BATCHES}/{batch_id}").json()["data"]
    return data


def results(api: LiveApi, batch_id: str) -> list[str]:
    """The students of all results."""
    found: list[str] = []
    cursor: str | None = "0"
    while cursor is not None:
        page = api.get(f"{BATCHES}/{batch_id}/results?limit=500&cursor={cursor}").json()["data"]
        found += [each["student_id"] for each in page["results"]]
        cursor = page["next"]
    return found


@pytest.mark.parametrize("priority", ["low", "normal", "high"])
def test_workers_compute_a_cohort(live_api: LiveApi, priority: str) -> None:
    """Each result is that of a query; the audit trail names the caller, the batch and the students."""
    record(live_api, 20)
    batch_id = submit(live_api, cohort_id="c-1", priority=priority)
    found = ended(live_api, batch_id)
    assert (found["status"], found["total"], found["succeeded"]) == ("succeeded", 20, 20)
    for each in live_api.get(f"{BATCHES}/{batch_id}/results").json()["data"]["results"]:
        assert each == live_api.post("/mastery/query", {"student_id": each["student_id"]}).json()["data"]
    entries = [each for each in engine_trail(live_api.stack.engine, live_api.tenant) if each["action"] == "batch.run"]
    assert [(each["channel"], each["role"], each["details"]["batch_id"]) for each in entries] == [("task", "admin", batch_id)]
    assert len(entries[0]["whose"]) == 20
    created = [each for each in engine_trail(live_api.stack.engine, live_api.tenant) if each["action"] == Action.CREATE_BATCH]
    assert entries[0]["correlation_id"] == created[0]["correlation_id"]


def test_a_batch_needs_no_sweep(own_api: LiveApi) -> None:
    """Its first tasks are sent with the request: it is done although beat stands still."""
    with held(own_api.stack, "beat"):
        for body in ({"students": given(1000)}, {"students": given(1)}):
            assert ended(own_api, submit(own_api, **body))["status"] == "succeeded"


def test_a_batch_without_a_task_is_swept(live_api: LiveApi) -> None:
    """The broker did not answer when it was stored, so no task was sent. One that was never stored does not stop the sweep."""
    batches = live_api.stack.engine.batches
    batches.touch(BatchKey(live_api.tenant, "never-stored"))
    store(live_api, "unsent", 1, Priority.NORMAL)
    assert ended(live_api, "unsent")["status"] == "succeeded"
    wait_for(lambda: batches.claim_overdue(0, 9) == [], END_SECONDS)


def test_an_order_that_nobody_signed(live_api: LiveApi) -> None:
    """Whoever writes to Redis can make workers compute; the audit trail names no caller for it."""
    store(live_api, "forged", 1, Priority.NORMAL)
    ended(live_api, "forged")
    entries = [each for each in engine_trail(live_api.stack.engine, live_api.tenant) if each["action"] == "batch.run"]
    assert [(each["role"], each["who"], each["details"]["asked_by"]) for each in entries] == [("system", "worker", "unproven")]


def test_killed_processes_lose_nothing(own_api: LiveApi) -> None:
    """Processes of the worker are killed while batches run; every student has one result in each of them."""
    batch_ids = [submit(own_api, students=given(10_000)) for _ in range(5)]
    killed: set[int] = set()

    def kill() -> bool:
        for child in pool(own_api.stack):
            if child.pid not in killed:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
                killed.add(child.pid)
        return len(killed) >= KILLS

    wait_for(kill, END_SECONDS)
    for batch_id in batch_ids:
        found = ended(own_api, batch_id)
        assert (found["status"], found["succeeded"], found["failed"]) == ("succeeded", 10_000, 0)
        assert results(own_api, batch_id) == [f"g-{number}" for number in range(10_000)]


def test_a_high_batch_overtakes_a_low_one(own_api: LiveApi) -> None:
    """It ends while the low one, which began before, still runs; that one is done too in the end."""
    store(own_api, "low", 100_000, Priority.LOW)
    wait_for(lambda: state(own_api, "low")["succeeded"] > 0, END_SECONDS)
    high = submit(own_api, students=given(500), priority="high")
    first = ended(own_api, high)
    low = ended(own_api, "low")
    assert low["started_at"] < first["started_at"] < first["finished_at"] < low["finished_at"]
    assert low["succeeded"] == 100_000


def test_a_batch_is_cancelled_while_it_runs(own_api: LiveApi) -> None:
    """What it has can be read; nothing is added any more."""
    batch_id = "cancelled"
    store(own_api, batch_id, 100_000, Priority.LOW)
    wait_for(lambda: state(own_api, batch_id)["succeeded"] > 0, END_SECONDS)
    answer = requests.delete(f"{own_api.url}{BATCHES}/{batch_id}", headers=own_api.authorization(), timeout=10)
    found = answer.json()["data"]
    assert (answer.status_code, found["status"]) == (200, "cancelled")
    another = submit(own_api, students=given(1000), priority="low")  # the tasks before it have run when it ends
    ended(own_api, another)
    assert state(own_api, batch_id)["succeeded"] == found["succeeded"]
    assert len(results(own_api, batch_id)) == found["succeeded"] < 100_000


def test_neither_log_nor_queues_have_students(own_api: LiveApi) -> None:
    """Tasks name the batch; logs name neither the students nor the reasons why they were rejected."""
    batch_id = submit(own_api, students=[{"student_id": "g-secret", "components": {}}, "s-secret"])
    ended(own_api, batch_id)
    assert "secret" not in own_api.stack.log()


def pool(stack: Stack) -> list[psutil.Process]:
    """The processes of the worker's pool; a new one replaces each that died."""
    for each in psutil.Process(stack.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # also a zombie
            if "worker" in each.cmdline() and (children := each.children()):
                return children
    return []
