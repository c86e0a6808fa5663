"""POST /predictions/next-week and /predictions/trajectory: consent, fields, and the forecast of a real worker."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.clock import day_number
from app.events.event import decode_event
from app.events.event_evidence import observe
from app.predictions.current_forecast import current_forecast
from app.roles import Role
from tests.integration.audit_calls import trail
from tests.integration.conftest import FixedTimeApi, LiveApi, api_with
from tests.integration.test_api_calculate import answered, hanging_worker
from tests.learning_events import activity, completion, quiz
from tests.stack import wait_for

NEXT_WEEK, TRAJECTORY = "/predictions/next-week", "/predictions/trajectory"
ACTIONS = {NEXT_WEEK: "predictions.next-week", TRAJECTORY: "predictions.trajectory"}
STUDENT = {"student_id": "s-1"}
SELF: dict[str, Any] = {"role": Role.STUDENT, "subject": "s-1"}
TASK_SECONDS = 20.0
on_both = pytest.mark.parametrize("path", [NEXT_WEEK, TRAJECTORY])


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With facts and a stored forecast of s-1 in c-1: no worker runs here. It is 2026-10-28."""
    api.record(
        activity(timestamp="2026-10-15T08:00:00Z"),
        completion(timestamp="2026-10-20T09:00:00Z", completed_exercises=4, total_exercises=10),
        quiz(timestamp="2026-10-20T09:00:00Z", correct_answers=4),
    )
    predict(api)
    return api


def predict(api: FixedTimeApi, student: str = "s-1") -> None:
    """Compute and store a forecast, as the worker does."""
    current_forecast("t-1", student, using=api.engine.forecasting, now=api.engine.clock())


def test_next_week(api: FixedTimeApi) -> None:
    """0.4 · 0.4 + 0.3 · 0.4 + 0.1 · 1/14 = 0.287143 now; two weeks of history, of which the last has no evidence."""
    answer = api.post(NEXT_WEEK, STUDENT)
    assert answer.status_code == 200, answer.text
    told = answer.get_json()["data"]
    interval, slope = told.pop("interval"), told.pop("slope_per_day")
    assert 0.02 < slope < 0.04
    assert interval["lower"] <= told["predicted_score"] <= interval["upper"]
    assert told.pop("predicted_score") == 0.287143
    assert told == {
        "student_id": "s-1",
        "cohort_id": "c-1",
        "date": "2026-11-04",
        "confidence": 0.394797,
        "trend": "improving",
        "intervention_needed": True,
        "reasons": [
            {"code": "inactive", "text": "Inactive for 13 days."},
            {"code": "missed_exercises", "text": "Exercises not done: 6 of 10."},
            {"code": "low_quiz", "text": "Only 40% of the quiz answers are correct."},
            {"code": "no_evidence", "text": "No evidence at present: quality."},
        ],
        "current_score": 0.287143,
        "model": "base",
        "model_version": "2",
        "days_of_history": 14,
        "coverage": 0.8,
        "stale": False,
        "warnings": [
            {
                "code": "no_learned_model",
                "text": "The base model answers: no learned model has proved better for these students.",
            }
        ],
    }


def test_a_trajectory(api: FixedTimeApi) -> None:
    """The past since the first evidence, and the days asked for; the seventh is what next-week says."""
    told = api.post(TRAJECTORY, STUDENT | {"days": 30}).get_json()["data"]
    assert [each["date"] for each in told["past"]] == [f"2026-10-{day}" for day in range(15, 29)]
    assert (told["past"][0]["score"], told["past"][-1]["score"]) == (0.007143, told["current_score"])
    assert (len(told["future"]), told["future"][-1]["date"]) == (30, "2026-11-27")
    assert (told["threshold"], told["falls_below_threshold_on"]) == (0.5, None)
    week = api.post(NEXT_WEEK, STUDENT).get_json()["data"]
    expected = {name: week[name] for name in ("date", "predicted_score", "interval")}
    assert told["future"][6] == expected
    assert api.post(TRAJECTORY, STUDENT).get_json()["data"]["future"] == told["future"][:7]


def test_the_threshold_is_a_setting(api: FixedTimeApi) -> None:
    with api_with(api.engine.settings, intervention_threshold=0.2) as other:
        told = other.post(NEXT_WEEK, STUDENT).get_json()["data"]
        assert (told["intervention_needed"], told["reasons"]) == (False, [])
        assert other.post(TRAJECTORY, STUDENT).get_json()["data"]["threshold"] == 0.2
        other.event_log.close()


@on_both
@pytest.mark.parametrize("body", [{"student_id": "s-nobody"}, STUDENT])
def test_an_unknown_student(api: FixedTimeApi, path: str, body: dict[str, Any]) -> None:
    """404 for callers with access; evidence in another tenant makes no difference."""
    tenant = "t-1" if body != STUDENT else "t-2"
    answer = api.post(path, body, tenant=tenant)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (404, "NOT_FOUND")


@on_both
def test_consent_withdrawn(api: FixedTimeApi, path: str) -> None:
    """403 for everyone, the student too, from the next request on, although a forecast is stored."""
    for other in ("recommendations", "cohort_statistics"):
        api.call("/student/s-1/consent", {other: False}, method="PUT", **SELF)
    predict(api)
    assert api.post(path, STUDENT).status_code == 200
    api.call("/student/s-1/consent", {"predictions": False}, method="PUT", **SELF)
    for caller in (SELF, {"role": Role.TEACHER, "cohorts": ("c-1",)}, {"role": Role.ADMIN}):
        answer = api.post(path, STUDENT, **caller)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "CONSENT_WITHDRAWN")
        assert answer.get_json()["error"]["message"] == "The student has not consented to predictions."
    assert (trail(api)[-1]["action"], trail(api)[-1]["outcome"]) == (ACTIONS[path], "denied")


@on_both
def test_consent_that_must_be_recorded(api: FixedTimeApi, path: str) -> None:
    """With the operator's setting, silence is no consent; an unknown student is still a 404."""
    with api_with(api.engine.settings, consent_required="predictions") as strict:
        answers = [strict.post(path, {"student_id": student}) for student in ("s-1", "s-nobody")]
        strict.event_log.close()
    assert [each.get_json()["error"]["code"] for each in answers] == ["CONSENT_WITHDRAWN", "NOT_FOUND"]


@pytest.mark.parametrize(
    ("path", "field", "values"),
    [
        (TRAJECTORY, "days", [0, 31, -1, 1.5, "3", True, None, [1]]),
        (NEXT_WEEK, "days", [7]),
        *((path, "student_id", ["", "s 1", "x" * 51, 1, None]) for path in ACTIONS),
    ],
)
def test_invalid_fields(api: FixedTimeApi, path: str, field: str, values: list[Any]) -> None:
    """422 with the field's name."""
    for value in values:
        answer = api.post(path, STUDENT | {field: value})
        assert (answer.status_code, list(answer.get_json()["error"]["details"])) == (422, [field]), value


@pytest.fixture
def observed(live_api: LiveApi) -> Callable[..., str]:
    """A function that stores facts of a student, and returns the student."""

    def put(*, days_ago: int = 0, student: str = "") -> str:
        now = datetime.now(UTC) - timedelta(days=days_ago)
        student = student or f"s-{uuid4().hex[:12]}"
        events = [activity(timestamp=(now - timedelta(days=6)).isoformat()), quiz(timestamp=now.isoformat())]
        observations = [observe(*decode_event(json.dumps(event).encode(), now)) for event in events]
        live_api.stack.engine.mastery.facts.merge(live_api.tenant, {student: observations}, day_number(now))
        return student

    return put


@on_both
def test_computed_by_the_worker(live_api: LiveApi, observed: Callable[..., str], path: str) -> None:
    """The first answer waits for the task; the next one is the stored forecast, and needs none."""
    body = {"student_id": observed()}
    first = answered(live_api, live_api.post(path, body))
    assert first["current_score"] > 0.24
    with hanging_worker(live_api.stack):
        again = live_api.post(path, body)
        other = live_api.post(next(iter(ACTIONS.keys() - {path})), body)
    assert again.json()["data"] == first
    assert other.status_code == 200
    entries = live_api.get(f"/audit?action={ACTIONS[path]}").json()["data"]["entries"]
    assert sorted(each["channel"] for each in entries) == ["api", "api", "task"]


def test_a_new_event_is_never_answered_with_an_old_forecast(live_api: LiveApi, observed: Callable[..., str]) -> None:
    """The worker computes again."""
    body = {"student_id": observed()}
    before = answered(live_api, live_api.post(NEXT_WEEK, body))
    observed(student=body["student_id"], days_ago=1)
    after = answered(live_api, live_api.post(NEXT_WEEK, body))
    assert (before["days_of_history"], after["days_of_history"]) == (7, 8)


@on_both
def test_handed_over_on_request(live_api: LiveApi, observed: Callable[..., str], path: str) -> None:
    """``Prefer: respond-async`` returns an address at once; the result there equals the synchronous response."""
    body = {"student_id": observed()}
    accepted = live_api.post(path, body, {"Prefer": "respond-async"})
    assert accepted.status_code == 202
    assert answered(live_api, accepted) == answered(live_api, live_api.post(path, body))


def test_a_task_s_answer_is_kept_back_if_consent_is_withdrawn(live_api: LiveApi, observed: Callable[..., str]) -> None:
    """A result that was computed before is not shown afterwards."""
    student = observed()
    location = live_api.post(NEXT_WEEK, {"student_id": student}, {"Prefer": "respond-async"}).headers["Location"]
    wait_for(lambda: live_api.get(location).json()["data"]["status"] == "succeeded", TASK_SECONDS)
    assert live_api.put(f"/student/{student}/consent", {"predictions": False}).status_code == 200
    refused = live_api.get(location)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "CONSENT_WITHDRAWN")


def test_a_student_whose_evidence_expired(live_api: LiveApi, observed: Callable[..., str]) -> None:
    """The task finds no retained evidence."""
    answer = live_api.post(NEXT_WEEK, {"student_id": observed(days_ago=120)})
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "No evidence of such a student.")


def test_many_callers_at_the_same_time(live_api: LiveApi, observed: Callable[..., str]) -> None:
    """Sixty callers of both routes get the same forecast; once it is there, sixty more get it without a task."""
    body = {"student_id": observed()}

    def ask(number: int) -> Any:
        return answered(live_api, live_api.post((NEXT_WEEK, TRAJECTORY)[number % 2], body))["confidence"]

    def tasks() -> int:
        queries = [f"/audit?action={action}&student_id={body['student_id']}&limit=200" for action in ACTIONS.values()]
        entries = [entry for query in queries for entry in live_api.get(query).json()["data"]["entries"]]
        assert len(entries) < 200  # they are all
        return sum(each["channel"] == "task" for each in entries)

    with ThreadPoolExecutor(60) as callers:
        first = set(callers.map(ask, range(60)))
        before = tasks()
        assert first == set(callers.map(ask, range(60)))
    assert len(first) == 1
    assert tasks() == before
