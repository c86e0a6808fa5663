"""Erasure of a student over HTTP, on a whole stack: accepted at once, done by a task, and nothing comes back."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import psutil
import pytest

from app.roles import Role
from app.security.task_requests import TaskRequest
from app.storage.keys import Keys
from tests.integration.conftest import LiveApi
from tests.learning_events import quiz
from tests.stack import wait_for

SECONDS = 30.0


def events(*students: str, ago: float = 3600, **fields: Any) -> list[dict[str, Any]]:
    """An event of each student, for the tenant of the token."""
    timestamp = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    made = [quiz(student_id=student, timestamp=timestamp, **fields) for student in students]
    return [{name: value for name, value in each.items() if name != "tenant_id"} for each in made]


def send(api: LiveApi, *sent: dict[str, Any]) -> None:
    """Send events, and return when their students are known."""
    assert api.post("/mastery/ingest", {"events": list(sent)}).status_code == 202
    for event in sent:
        wait_for(lambda event=event: stands(api, event["student_id"]).status_code == 200, SECONDS)  # type: ignore[misc]


def stands(api: LiveApi, student: str) -> Any:
    return api.post("/mastery/query", {"student_id": student})


def erase(api: LiveApi, student: str) -> dict[str, Any]:
    """Erase a student, and return the receipt when it is done."""
    accepted = api.delete(f"/student/{student}")
    assert (accepted.status_code, accepted.headers["Location"]) == (202, f"/student/{student}/erasure")
    wait_for(lambda: receipt(api, student)["status"] == "done", SECONDS)
    done = receipt(api, student)
    assert done["erasure_id"] == accepted.json()["data"]["erasure_id"]
    return done


def receipt(api: LiveApi, student: str) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/student/{student}/erasure").json()["data"]
    return found


def erased_events(api: LiveApi) -> int:
    return api.stack.engine.event_totals.of(api.tenant).erased


def test_nothing_is_left_and_nothing_comes_back(live_api: LiveApi) -> None:
    """The student is unknown, a task's result is gone, a repeated event is refused and counted, and the others stay."""
    first, second = events("s-1", "s-2")
    send(live_api, first, second)
    before = stands(live_api, "s-2").json()["data"]
    task = live_api.post("/mastery/calculate", {"student_id": "s-1"}, {"Prefer": "respond-async"}).headers["Location"]
    wait_for(lambda: live_api.get(task).json()["data"]["status"] == "succeeded", SECONDS)
    done = erase(live_api, "s-1")
    assert {"facts": 1, "results of tasks": 1} == {name: done["erased"][name] for name in ("facts", "results of tasks")}
    assert [404, 404] == [stands(live_api, "s-1").status_code, live_api.get(task).status_code]
    live_api.post("/mastery/ingest", {"events": [first, *events("s-1", ago=5)]})
    wait_for(lambda: erased_events(live_api) == 2, SECONDS)
    assert stands(live_api, "s-1").status_code == 404
    assert before == stands(live_api, "s-2").json()["data"]


def test_a_student_who_returns_begins_anew(live_api: LiveApi) -> None:
    """With events after the erasure only; another erasure takes these too."""
    send(live_api, *events("s-1", correct_answers=2))
    erase(live_api, "s-1")
    send(live_api, *events("s-1", ago=-1, correct_answers=10))
    assert stands(live_api, "s-1").json()["data"]["components"]["quiz"] == 1
    assert erase(live_api, "s-1")["erased"]["facts"] == 1


def test_the_receipt_is_proof(live_api: LiveApi) -> None:
    """Its hash can be computed from it, and the audit trail has it, with the pseudonym and never the id."""
    send(live_api, *events("s-1"))
    done = erase(live_api, "s-1")
    assert done["pseudonym"] == live_api.stack.engine.audit.pseudonym(live_api.tenant, "s-1")
    assert done["requested_at"] <= done["finished_at"]
    hashed = {name: value for name, value in done.items() if name not in {"sha256", "status"}}
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"))
    assert done["sha256"] == sha256(text.encode()).hexdigest()
    trail = live_api.get("/audit?limit=500").json()["data"]["entries"]
    (requested,) = [each for each in trail if each["action"] == "student.erase"]
    (finished,) = [each for each in trail if each["action"] == "student.erased"]
    assert requested["details"] == {"erasure_id": done["erasure_id"]}
    assert finished["details"] == {"erasure_id": done["erasure_id"], "sha256": done["sha256"], "receipt": text}
    assert requested["whose"] == finished["whose"] == [done["pseudonym"]]
    assert "s-1" not in str(trail)


@pytest.mark.parametrize("role", [Role.STUDENT, Role.TEACHER, Role.SERVICE])
def test_only_admins_may(live_api: LiveApi, role: Role) -> None:
    """Not the student either; whether the student exists or not."""
    caller = {"role": role, "subject": "s-1", "cohorts": ("c-1",)}
    assert live_api.delete("/student/s-1", **caller).status_code == 403
    assert live_api.get("/student/s-1/erasure", **caller).status_code == 403


def test_an_unknown_student(live_api: LiveApi) -> None:
    """Can be erased, so that nothing late is recorded; without a request there is no receipt."""
    assert live_api.get("/student/s-1/erasure").status_code == 404
    assert erase(live_api, "s-1")["erased"] == {}
    live_api.post("/mastery/ingest", {"events": events("s-1")})
    wait_for(lambda: erased_events(live_api) == 1, SECONDS)
    assert [404, 404] == [live_api.delete(path).status_code for path in ("/student/s 1", "/student/")]


def worker(api: LiveApi) -> list[psutil.Process]:
    """The processes of the stack's worker."""
    family = psutil.Process(api.stack.process.pid).children(recursive=True)
    return [each for each in family if "worker" in each.cmdline() and "tasks.celery" in each.cmdline()]


@contextmanager
def suspended(processes: list[psutil.Process]) -> Iterator[None]:
    for each in processes:
        each.suspend()
    try:
        yield
    finally:
        for each in reversed(processes):
            each.resume()


def test_queued_tasks_come_to_nothing(live_api: LiveApi) -> None:
    """Calculations that wait for a worker when the student is erased find nothing, and no result of them is left."""
    send(live_api, *events("s-1"))
    engine = live_api.stack.engine
    with suspended(worker(live_api)):
        for _ in range(3):
            answer = live_api.post("/mastery/calculate", {"student_id": "s-1"}, {"Prefer": "respond-async"})
            assert answer.status_code == 202
        tasks = engine.task_requests.about(live_api.tenant, "s-1")
        assert live_api.delete("/student/s-1").status_code == 202
        assert stands(live_api, "s-1").status_code == 404  # at once
        assert receipt(live_api, "s-1")["status"] == "running"
        assert engine.erasures.running([live_api.tenant]) == 1  # mastery_erasures_running
    wait_for(lambda: receipt(live_api, "s-1")["status"] == "done", SECONDS)
    assert engine.erasures.running([live_api.tenant]) == 0
    assert receipt(live_api, "s-1")["erased"]["results of tasks"] == len(tasks) == 3
    prefix = f"{live_api.stack.settings.key_prefix}:celery:celery-task-meta-"
    assert [engine.redis.exists(prefix + task) for task in tasks] == [0, 0, 0]
    assert [live_api.get(f"/tasks/{task}").status_code for task in tasks] == [404, 404, 404]


def remember_lost_task(api: LiveApi, student: str) -> str:
    """A calculation whose message is lost, so that it never ends."""
    api.stack.engine.task_requests.remember(api.tenant, "lost", TaskRequest("admin:tester", [student]), 3600)
    return "lost"


def test_an_expired_result_is_not_waited_for(live_api: LiveApi) -> None:
    """A task whose request has expired, with its result, seems to wait for a worker like one that has not ended."""
    task = remember_lost_task(live_api, "s-1")
    engine = live_api.stack.engine
    assert engine.redis.delete(Keys(engine.settings.key_prefix).task(live_api.tenant, task)) == 1
    erase(live_api, "s-1")
    assert engine.task_requests.about(live_api.tenant, "s-1") == []


def test_erasures_that_wait_are_tried_again_by_the_sweep_only(live_api: LiveApi) -> None:
    """However often they are requested: each request sends a task, and none of these sends another one."""
    task = remember_lost_task(live_api, "s-1")
    engine = live_api.stack.engine
    for _ in range(20):
        assert live_api.delete("/student/s-1").status_code == 202

    def attempts_in_four_seconds() -> int:
        before = engine.batches.erasures(live_api.tenant)
        time.sleep(4)
        return engine.batches.erasures(live_api.tenant) - before

    wait_for(lambda: attempts_in_four_seconds() <= 3, SECONDS)
    assert receipt(live_api, "s-1")["status"] == "running"
    engine.task_requests.forget(live_api.tenant, "s-1", task)
    wait_for(lambda: receipt(live_api, "s-1")["status"] == "done", SECONDS)


def test_students_of_an_erased_tenant(live_api: LiveApi) -> None:
    """Find its receipt, and an entry of the trail that names it; the last entry has the receipt. One of their own wins."""
    send(live_api, *events("s-1", "s-2"))
    live_api.stack.mastery("erase", "--tenant", live_api.tenant, "--yes")
    done = receipt(live_api, "s-1")
    assert (done["pseudonym"], done["status"], done["erased"]["facts"]) == ("*", "done", 2)
    (about,) = live_api.get("/audit?action=student.erased&student_id=s-1").json()["data"]["entries"]
    assert about["details"] == {"erasure_id": done["erasure_id"]}
    last = live_api.get("/audit?action=student.erased").json()["data"]["entries"][0]
    assert (last["details"]["erasure_id"], last["details"]["sha256"]) == (done["erasure_id"], done["sha256"])
    assert last["students"] == 0
    own = erase(live_api, "s-1")
    assert own["pseudonym"] == live_api.stack.engine.audit.pseudonym(live_api.tenant, "s-1")
    assert receipt(live_api, "s-2") == done
