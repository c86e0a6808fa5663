"""POST /mastery/query returns a student's mastery to callers with access."""

from typing import Any

import pytest

from app.roles import Role
from tests.integration.conftest import FixedTimeApi
from tests.learning_events import activity, completion, quality, quiz

STUDENT = {"student_id": "s-1"}


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """The API with the facts of s-1 in c-1 that the tests below compute by hand. It is 2026-10-28."""
    api.record(
        *(activity(timestamp=f"2026-10-{day}T08:00:00Z") for day in (14, 26, 27, 28)),
        completion(timestamp="2026-10-20T09:00:00Z", completed_exercises=2),
        completion(timestamp="2026-10-27T09:00:00Z", completed_exercises=4),
        quiz(timestamp="2026-10-20T09:00:00Z", correct_answers=6),
        quiz(timestamp="2026-10-27T09:00:00Z", correct_answers=9),
        quality(timestamp="2026-10-27T09:00:00Z"),
    )
    return api


def data(api: FixedTimeApi, **body: Any) -> dict[str, Any]:
    answer = api.post("/mastery/query", STUDENT | body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()["data"]
    return told


def test_the_numbers_of_today(api: FixedTimeApi) -> None:
    """0.4 · 4/5 + 0.3 · 15/20 + 0.2 · 0.8 + 0.1 · 3/14 = 0.726429. The activity of the 14th is 15 days old and counts no more.

    The mean is that of 15 days: six of 0.007143, six of 0.347143, one of 0.354286, two of 0.726429.
    """
    expected = {
        "student_id": "s-1",
        "cohort_id": "c-1",
        "date": "2026-10-28",
        "score": 0.726429,
        "level": "competent",
        "coverage": 1.0,
        "trend": "improving",
        "historical_average": 0.262191,
        "components": {"completion": 0.8, "quiz": 0.75, "quality": 0.8, "consistency": 0.214286},
        "breakdown": {
            "completion": {"score": 0.8, "weight": 0.4, "contribution": 0.32},
            "quiz": {"score": 0.75, "weight": 0.3, "contribution": 0.225},
            "quality": {"score": 0.8, "weight": 0.2, "contribution": 0.16},
            "consistency": {"score": 0.214286, "weight": 0.1, "contribution": 0.021429},
        },
    }
    assert expected == data(api)


def test_the_numbers_of_an_earlier_day(api: FixedTimeApi) -> None:
    """On the 20th: 0.4 · 2/5 + 0.3 · 6/10 + 0.1 · 1/14 = 0.347143, without later evidence."""
    told = data(api, date="2026-10-20")
    assert {"completion": 0.4, "quiz": 0.6, "quality": None, "consistency": 0.071429} == told["components"]
    assert told["breakdown"]["quality"] == {"score": None, "weight": 0.2, "contribution": 0.0}
    expected = {"date": "2026-10-20", "score": 0.347143, "level": "beginner", "coverage": 0.8, "historical_average": 0.055714}
    assert expected == {name: told[name] for name in expected}


def test_components_are_left_out_on_request(api: FixedTimeApi) -> None:
    """``include_components: false`` omits components and breakdown, and nothing else."""
    complete = data(api)
    del complete["components"], complete["breakdown"]
    assert complete == data(api, include_components=False)


@pytest.mark.parametrize(
    ("expected", "events"),
    [
        ("stable", [activity(timestamp="2026-10-28T08:00:00Z")]),
        ("stable", [completion(timestamp="2026-10-18T08:00:00Z")]),
        (
            "improving",
            [
                completion(timestamp="2026-10-15T08:00:00Z", completed_exercises=0),
                completion(timestamp="2026-10-22T08:00:00Z", completed_exercises=5),
            ],
        ),
        (
            "declining",
            [
                completion(timestamp="2026-10-15T08:00:00Z", completed_exercises=5),
                completion(timestamp="2026-10-22T08:00:00Z", completed_exercises=0),
            ],
        ),
    ],
)
def test_trend(api: FixedTimeApi, expected: str, events: list[dict[str, Any]]) -> None:
    """The trend is that of the last 14 days."""
    api.record(*(event | {"student_id": "s-2"} for event in events))
    assert expected == data(api, student_id="s-2")["trend"]


@pytest.mark.parametrize(
    "caller",
    [
        {"role": Role.STUDENT, "subject": "s-1"},
        {"role": Role.TEACHER, "cohorts": ("c-0", "c-1")},
        {"role": Role.ADMIN},
    ],
)
def test_who_may_see_a_student(api: FixedTimeApi, caller: dict[str, Any]) -> None:
    """The student, a teacher of the cohort, and an admin of the tenant have access."""
    assert api.post("/mastery/query", STUDENT, **caller).status_code == 200


@pytest.mark.parametrize(
    "caller",
    [
        {"role": Role.STUDENT, "subject": "s-2"},
        {"role": Role.TEACHER, "cohorts": ("c-2",)},
        {"role": Role.TEACHER, "cohorts": ()},
        {"role": Role.TEACHER, "subject": "s-1"},
        {"role": Role.SERVICE, "subject": "s-1"},
        {"role": Role.TEACHER, "cohorts": ("c-1",), "tenant": "t-2"},
    ],
)
@pytest.mark.parametrize("path", ["/mastery/query", "/mastery/calculate"])
def test_who_may_not(api: FixedTimeApi, path: str, caller: dict[str, Any]) -> None:
    """Others get 403, with the same message whether the student exists or not."""
    known, unknown = api.post(path, STUDENT, **caller), api.post(path, {"student_id": "s-nobody"}, **caller)
    assert [known.status_code, unknown.status_code] == [403, 403]
    message = "A service may not do this." if caller["role"] == Role.SERVICE else "You may not see this student."
    assert known.get_json()["error"] == {"code": "FORBIDDEN", "message": message, "details": {}}
    assert known.get_json()["error"] == unknown.get_json()["error"]


@pytest.mark.parametrize(
    ("student", "caller"),
    [
        ("s-nobody", {"role": Role.ADMIN}),
        ("s-nobody", {"role": Role.STUDENT, "subject": "s-nobody"}),
        ("s-1", {"role": Role.ADMIN, "tenant": "t-2"}),
        ("s-1", {"role": Role.STUDENT, "subject": "s-1", "tenant": "t-2"}),
    ],
)
@pytest.mark.parametrize("path", ["/mastery/query", "/mastery/calculate"])
def test_a_student_of_whom_this_tenant_knows_nothing(
    api: FixedTimeApi, path: str, student: str, caller: dict[str, Any]
) -> None:
    """Callers with access get 404; evidence in another tenant makes no difference."""
    answer = api.post(path, {"student_id": student}, **caller)
    assert answer.status_code == 404
    expected = {"code": "NOT_FOUND", "message": "No evidence of such a student.", "details": {}}
    assert expected == answer.get_json()["error"]


def test_a_day_before_the_first_evidence(api: FixedTimeApi) -> None:
    """Before the first evidence: 404, as for an unknown student."""
    assert api.post("/mastery/query", STUDENT | {"date": "2026-10-13"}).status_code == 404


def test_the_first_day_that_is_retained(api: FixedTimeApi) -> None:
    """The retention's 90 days begin on July 31."""
    api.record(quiz(timestamp="2026-07-31T23:59:00Z", student_id="s-3"))
    assert data(api, student_id="s-3", date="2026-07-31")["score"] == 0.24


@pytest.mark.parametrize(
    "date",
    [
        *("2026-10-29", "9999-12-31", "2026-07-30", "0001-01-01"),
        *("yesterday", "2026-13-01", "2026-02-30", "2026-10-28T00:00:00Z", "2026-10-28\n", ""),
        *(20261028, 1.5, True, None, ["2026-10-28"], {}),
    ],
)
def test_a_day_that_cannot_be_answered_for(api: FixedTimeApi, date: Any) -> None:
    """A future day, one before the retention, or an invalid one: 422 for the field."""
    answer = api.post("/mastery/query", STUDENT | {"date": date})
    assert answer.status_code == 422
    assert list(answer.get_json()["error"]["details"]) == ["date"]
