"""POST /mastery/calculate: from components in the request, or from the facts by a real worker; GET /tasks/{id}."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
import requests

from app.clock import day_number
from app.events.event import decode_event
from app.events.event_evidence import observe
from app.events.event_totals import Totals
from app.roles import Role
from tests.integration.conftest import FixedTimeApi, LiveApi
from tests.learning_events import completion, quiz
from tests.stack import Stack, wait_for

COMPONENTS = {"completion": 0.5, "quiz": 1, "quality": None, "consistency": 0.25}
TASK_SECONDS = 20.0


@pytest.mark.parametrize(
    ("weights", "score", "level", "coverage", "contributions"),
    [
        ({}, 0.525, "developing", 0.8, [0.2, 0.3, 0.0, 0.025]),
        ({"completion": 0.1, "quiz": 0.2, "quality": 0.3, "consistency": 0.4}, 0.35, "beginner", 0.7, [0.05, 0.2, 0.0, 0.1]),
        ({"completion": 0.3, "quiz": 0.4}, 0.575, "developing", 0.8, [0.15, 0.4, 0.0, 0.025]),
        ({"completion": 0, "quiz": 1, "quality": 0, "consistency": 0}, 1.0, "expert", 1.0, [0.0, 1.0, 0.0, 0.0]),
        ({"completion": 0.4009}, 0.52545, "developing", 0.8009, [0.20045, 0.3, 0.0, 0.025]),
    ],
)
def test_given_components_are_computed_and_not_stored(
    api: FixedTimeApi, weights: dict[str, float], score: float, level: str, coverage: float, contributions: list[float]
) -> None:
    """Omitted weights keep their default; null means no evidence; the student need not exist."""
    answer = api.post("/mastery/calculate", {"student_id": "s-1", "components": COMPONENTS, "weights": weights})
    assert answer.status_code == 200, answer.text
    told = answer.get_json()["data"]
    expected = {"student_id": "s-1", "score": score, "level": level, "coverage": coverage, "components": COMPONENTS}
    assert expected == {name: value for name, value in told.items() if name != "breakdown"}
    used = {"completion": 0.4, "quiz": 0.3, "quality": 0.2, "consistency": 0.1} | weights
    assert {
        name: {"score": COMPONENTS[name], "weight": used[name], "contribution": contribution}
        for name, contribution in zip(COMPONENTS, contributions, strict=True)
    } == told["breakdown"]
    assert api.engine.mastery.tenants.all() == []
    assert api.post("/mastery/query", {"student_id": "s-1"}).status_code == 404


def test_components_that_are_left_out_are_no_evidence(api: FixedTimeApi) -> None:
    """An empty object of components is a calculation without evidence, not one from the facts."""
    told = api.post("/mastery/calculate", {"student_id": "s-1", "components": {}}).get_json()["data"]
    assert (told["score"], told["level"], told["coverage"]) == (0, "beginner", 0)


@pytest.mark.parametrize(
    ("weights", "field"),
    [
        ({"completion": 0.5}, "weights"),
        ({"completion": 0.4011}, "weights"),
        ({"completion": 0, "quiz": 0, "quality": 0, "consistency": 0}, "weights"),
        ({"completion": -0.1, "quiz": 0.8}, "weights.completion"),
        ({"completion": 1.1}, "weights.completion"),
        ({"completion": None}, "weights.completion"),
        ({"completion": "0.4"}, "weights.completion"),
        ({"completion": True}, "weights.completion"),
        ({"attendance": 0.4}, "weights.attendance"),
        (None, "weights"),
        ([0.4, 0.3, 0.2, 0.1], "weights"),
    ],
)
def test_weights_that_are_none(api: FixedTimeApi, weights: Any, field: str) -> None:
    """Weights are numbers from 0 to 1 that sum to 1 ± 0.001, with or without components; otherwise 422 names the error."""
    for more in ({}, {"components": COMPONENTS}):
        answer = api.post("/mastery/calculate", {"student_id": "s-1", "weights": weights, **more})
        assert answer.status_code == 422
        assert [field] == list(answer.get_json()["error"]["details"])


@pytest.fixture
def observed(live_api: LiveApi) -> Callable[..., str]:
    """A function that stores facts of a student without a score, and returns the student."""

    def put(days_ago: int = 0) -> str:
        now = datetime.now(UTC) - timedelta(days=days_ago)
        student = f"s-{uuid4().hex[:12]}"
        events = [completion(timestamp=now.isoformat()), quiz(timestamp=now.isoformat())]
        observations = [observe(*decode_event(json.dumps(event).encode(), now)) for event in events]
        live_api.stack.engine.mastery.facts.merge(live_api.tenant, {student: observations}, day_number(now))
        return student

    return put


def test_recomputed_from_the_facts_by_the_worker(live_api: LiveApi, observed: Callable[..., str]) -> None:
    """0.4 · 4/5 + 0.3 · 8/10 = 0.56; the response waits for the task, and the score is stored for the ranking."""
    student = observed()
    engine = live_api.stack.engine
    assert engine.mastery.scores.ranking(live_api.tenant, "c-1") == []
    answer = live_api.post("/mastery/calculate", {"student_id": student})
    assert answer.status_code == 200, answer.text
    told = answer.json()["data"]
    assert (student, 0.56, "developing", 0.7) == tuple(told[name] for name in ("student_id", "score", "level", "coverage"))
    assert told == live_api.post("/mastery/query", {"student_id": student}).json()["data"]
    assert [(student, 0.56)] == engine.mastery.scores.ranking(live_api.tenant, "c-1")
    assert Totals(applied=2) == engine.event_totals.of(live_api.tenant)


def test_callers_at_the_same_time(live_api: LiveApi, observed: Callable[..., str]) -> None:
    """Forty callers and eight threads: each gets the response to its own request, at once or from the given address."""
    students = [observed() for _ in range(40)]

    def ask(student: str) -> tuple[str, str]:
        answer = live_api.post("/mastery/calculate", {"student_id": student}, {"X-Correlation-ID": student})
        return answered(live_api, answer)["student_id"], answer.headers["X-Correlation-ID"]

    with ThreadPoolExecutor(len(students)) as callers:
        assert [(student, student) for student in students] == list(callers.map(ask, students))


def answered(live_api: LiveApi, answer: requests.Response) -> Any:
    """The task's result, once it exists."""
    assert answer.status_code in {200, 202}
    if answer.status_code == 200:
        return answer.json()["data"]
    place = answer.headers["Location"]
    wait_for(lambda: live_api.get(place).json()["data"]["status"] == "succeeded", TASK_SECONDS)
    return live_api.get(place).json()["data"]["result"]


def test_while_the_worker_hangs_few_threads_wait_for_it(live_api: LiveApi, observed: Callable[..., str]) -> None:
    """The allowed number of callers waits; others get 202 at once, and other routes work as usual."""
    settings = live_api.stack.settings
    body, callers = {"student_id": observed()}, 2 * settings.http_threads
    with hanging_worker(live_api.stack), ThreadPoolExecutor(callers) as pool:
        answers = [pool.submit(live_api.post, "/mastery/calculate", body) for _ in range(callers)]
        wait_for(lambda: sum(answer.done() for answer in answers) >= callers - settings.calculate_waiters, TASK_SECONDS)
        assert live_api.post("/mastery/query", body).status_code == 200
        assert {202} == {answer.result().status_code for answer in answers}
        seconds = [answer.result().elapsed.total_seconds() for answer in answers]
        assert settings.calculate_waiters == sum(each >= settings.calculate_wait_seconds for each in seconds)
    assert all(answered(live_api, answer.result())["score"] == 0.56 for answer in answers)


@contextmanager
def hanging_worker(stack: Stack) -> Iterator[None]:
    """The stack with a worker whose processes are suspended."""
    of_stack = psutil.Process(stack.process.pid).children(recursive=True)
    workers = [each for each in of_stack if {"celery", "worker"} <= set(each.cmdline())]
    try:
        for each in workers:
            each.suspend()
        yield
    finally:
        for each in workers:
            each.resume()


def test_weights_change_the_answer_and_not_the_ranking(live_api: LiveApi, observed: Callable[..., str]) -> None:
    """With the caller's weights 0.5 · 0.8 + 0.5 · 0.8 = 0.8; the stored score has the standard ones, so that ranks compare."""
    student = observed()
    weights = {"completion": 0.5, "quiz": 0.5, "quality": 0, "consistency": 0}
    assert live_api.post("/mastery/calculate", {"student_id": student, "weights": weights}).json()["data"]["score"] == 0.8
    assert [(student, 0.56)] == live_api.stack.engine.mastery.scores.ranking(live_api.tenant, "c-1")


@pytest.mark.parametrize("prefer", ["respond-async", "wait=10, Respond-Async"])
def test_handed_over_on_request(live_api: LiveApi, observed: Callable[..., str], prefer: str) -> None:
    """``Prefer: respond-async`` returns an address at once; the result there equals the synchronous response."""
    body = {"student_id": observed()}
    accepted = live_api.post("/mastery/calculate", body, {"Prefer": prefer})
    assert accepted.status_code == 202
    task_id = accepted.json()["data"]["task_id"]
    assert {"task_id": str(UUID(task_id)), "status": "pending"} == accepted.json()["data"]
    expected = {"Location": f"/tasks/{task_id}", "Retry-After": "1", "Preference-Applied": "respond-async"}
    assert expected == {name: accepted.headers[name] for name in expected}

    wait_for(lambda: live_api.get(f"/tasks/{task_id}").json()["data"]["status"] != "pending", TASK_SECONDS)
    told = live_api.post("/mastery/calculate", body).json()["data"]
    assert {"task_id": task_id, "status": "succeeded", "result": told} == live_api.get(f"/tasks/{task_id}").json()["data"]


def test_who_may_ask_what_became_of_a_task(live_api: LiveApi, observed: Callable[..., str]) -> None:
    """The caller who started it, and admins of the tenant; for other tenants it does not exist."""
    student = observed()
    owner = {"role": Role.STUDENT, "subject": student}
    location = live_api.post("/mastery/calculate", {"student_id": student}, {"Prefer": "respond-async"}, **owner).headers[
        "Location"
    ]
    assert live_api.get(location, **owner).status_code == 200
    assert live_api.get(location, role=Role.ADMIN).status_code == 200
    assert live_api.get(location, role=Role.STUDENT, subject="s-2").status_code == 403
    assert live_api.get(location, role=Role.TEACHER, cohorts=("c-1",)).status_code == 403
    assert live_api.get(location, role=Role.ADMIN, tenant=f"{live_api.tenant}-2").status_code == 404
    assert live_api.get(location, **owner, tenant=f"{live_api.tenant}-2").status_code == 404


def test_a_task_s_answer_is_kept_from_a_teacher_whose_student_has_left(live_api: LiveApi, observed: Callable[..., str]) -> None:
    """They had access when they started it; access is checked again when they fetch the result."""
    student, teacher = observed(), {"role": Role.TEACHER, "cohorts": ("c-1",)}
    location = live_api.post("/mastery/calculate", {"student_id": student}, {"Prefer": "respond-async"}, **teacher).headers[
        "Location"
    ]
    wait_for(lambda: live_api.get(location, **teacher).json()["data"]["status"] != "pending", TASK_SECONDS)
    assert live_api.get(location, **teacher).json()["data"]["result"]["student_id"] == student
    left = live_api.get(location, role=Role.TEACHER, cohorts=("c-2",))  # as if the student were in somebody else's cohort
    assert (left.status_code, left.json()["error"]["message"]) == (403, "You may not see this student.")


@pytest.mark.parametrize("task_id", ["00000000-0000-4000-8000-000000000000", "1", "a/b", "..%2Fhealth"])
def test_unknown_task(live_api: LiveApi, task_id: str) -> None:
    """An unknown task id, or text that is not one: 404."""
    answer = live_api.get(f"/tasks/{task_id}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("headers", [{}, {"Prefer": "respond-async"}])
def test_unknown_student(live_api: LiveApi, headers: dict[str, str]) -> None:
    """Without stored data about a student, no task is started: 404 at once."""
    answer = live_api.post("/mastery/calculate", {"student_id": "s-nobody"}, headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


def test_a_student_whose_evidence_expired(live_api: LiveApi, observed: Callable[..., str]) -> None:
    """The task finds no retained evidence: a waiting caller gets 404, for others the task fails with this reason."""
    answer = live_api.post("/mastery/calculate", {"student_id": observed(days_ago=100)})
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "No evidence of such a student.")

    location = live_api.post("/mastery/calculate", {"student_id": observed(days_ago=100)}, {"Prefer": "respond-async"}).headers[
        "Location"
    ]
    wait_for(lambda: live_api.get(location).json()["data"]["status"] != "pending", TASK_SECONDS)
    told = live_api.get(location).json()["data"]
    assert (told["status"], told["reason"]) == ("failed", "no evidence of such a student")
