"""POST /analytics/compare/cohorts: who may compare what, refusals, and the comparison of a real worker."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.analytics.compare_cohorts import compare_cohorts
from app.analytics.compare_student import TOO_FEW
from app.events.event import decode_event
from app.events.record_events import record_events
from app.roles import Role
from tests.integration.audit_calls import trail
from tests.integration.conftest import FixedTimeApi, LiveApi, details
from tests.integration.test_api_calculate import hanging_worker
from tests.learning_events import completion, quiz
from tests.stack import wait_for

PATH = "/analytics/compare/cohorts"
BODY = {"cohort_a": "c-1", "cohort_b": "c-2"}
TEACHER: dict[str, Any] = {"role": Role.TEACHER, "cohorts": ("c-1", "c-2")}
ASYNC = {"Prefer": "respond-async"}
TASK_SECONDS = 20.0


def events_of(cohort: str, students: int, tenant: str, moment: str) -> list[dict[str, Any]]:
    """Completions of students, more in c-2; and quizzes of the first four."""
    more = 5 if cohort == "c-2" else 0
    given = [
        {"student_id": f"{cohort}-{number}", "cohort_id": cohort, "tenant_id": tenant, "timestamp": moment}
        for number in range(students)
    ]
    return [
        *(completion(**each, total_exercises=20, completed_exercises=number + more) for number, each in enumerate(given)),
        *(quiz(**each) for each in given[:4]),
    ]


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With ten students of c-1, ten of c-2 and four of c-3; no worker runs here. It is 2026-10-28."""
    for cohort, students in (("c-1", 10), ("c-2", 10), ("c-3", 4)):
        api.record(*events_of(cohort, students, "t-1", "2026-10-27T09:00:00Z"))
    return api


@pytest.mark.parametrize(
    "caller",
    [
        {"role": Role.STUDENT, "subject": "c-1-0"},
        {"role": Role.SERVICE},
        {"role": Role.TEACHER},
        {"role": Role.TEACHER, "cohorts": ("c-1",)},
        {"role": Role.TEACHER, "cohorts": ("c-2",)},
        {"role": Role.TEACHER, "cohorts": ("c-2",), "tenant": "t-2"},
    ],
)
def test_who_may_not(api: FixedTimeApi, caller: dict[str, Any]) -> None:
    """Students, services, and teachers of one of them; the answer is the same for a cohort that does not exist."""
    for body in (BODY, {"cohort_a": "c-1", "cohort_b": "c-9"}, {"cohort_a": "c-2", "cohort_b": "c-9"}):
        answer = api.post(PATH, body, **caller)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "FORBIDDEN")
    entries = [each for each in trail(api) if "details" in each]
    assert {each["action"] for each in entries} <= {"analytics.compare-cohorts"}
    assert {(each["outcome"], each.get("whose")) for each in entries} <= {("denied", None)}


def test_cohorts_that_nobody_is_in(api: FixedTimeApi) -> None:
    """404, which says which; also those of another tenant, and for a teacher whose token names one."""
    for caller in ({}, {"role": Role.TEACHER, "cohorts": ("c-1", "c-9")}):
        answer = api.post(PATH, {"cohort_a": "c-1", "cohort_b": "c-9"}, **caller)
        assert answer.status_code == 404
        assert answer.get_json()["error"]["message"] == "No students with evidence in this cohort: cohort_b."
    assert api.post(PATH, BODY, tenant="t-2").status_code == 404


def test_too_few_students(api: FixedTimeApi) -> None:
    """422 with each field; a withdrawn consent counts at once."""
    assert details(api.post(PATH, {"cohort_a": "c-3", "cohort_b": "c-1"})) == {"cohort_a": [TOO_FEW]}
    for number in range(6):
        api.call(f"/student/c-1-{number}/consent", {"cohort_statistics": False}, method="PUT")
    assert details(api.post(PATH, BODY)) == {"cohort_a": [TOO_FEW]}
    assert details(api.post(PATH, {"cohort_a": "c-1", "cohort_b": "c-3"})) == {"cohort_a": [TOO_FEW], "cohort_b": [TOO_FEW]}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"cohort_a": "c-1", "cohort_b": "c-1"}, {"cohort_b": ["Must be another cohort than cohort_a."]}),
        ({"cohort_a": "c-1"}, {"cohort_b": ["Missing data for required field."]}),
        ({**BODY, "metric": "overall"}, {"metric": ["Unknown field."]}),
        ({"cohort_a": "c-1", "cohort_b": None}, {"cohort_b": ["Field may not be null."]}),
    ],
)
def test_invalid_fields(api: FixedTimeApi, body: Any, fields: dict[str, list[str]]) -> None:
    assert details(api.post(PATH, body)) == fields


@pytest.mark.parametrize("value", ["", "c 1", "c-1\n", "*", 1, ["c-1"], "x" * 51])
@pytest.mark.parametrize("field", list(BODY))
def test_fields_that_are_no_ids(api: FixedTimeApi, field: str, value: Any) -> None:
    assert list(details(api.post(PATH, BODY | {field: value}))) == [field]


@pytest.fixture
def classrooms(live_api: LiveApi) -> Callable[..., None]:
    """A function that records students of cohorts, of the tenant of the test."""

    def record(**students: int) -> None:
        now = datetime.now(UTC)
        moment = (now - timedelta(days=1)).isoformat()
        for cohort, number in students.items():
            events = events_of(cohort.replace("_", "-"), number, live_api.tenant, moment)
            decoded = [decode_event(json.dumps(event).encode(), now) for event in events]
            record_events(decoded, stores=live_api.stack.engine.mastery, now=now)

    return record


def test_compared_by_the_worker(live_api: LiveApi, classrooms: Callable[..., None]) -> None:
    """The answer is that of the use case. Mastery has both tests; quizzes are of too few."""
    classrooms(c_1=10, c_2=12)
    wait_for(lambda: live_api.post(PATH, BODY).status_code == 200, TASK_SECONDS)
    answer = live_api.post(PATH, BODY)
    told, engine = answer.json()["data"], live_api.stack.engine
    found = compare_cohorts(live_api.tenant, "c-1", "c-2", stores=engine.mastery, now=engine.clock())
    assert told["summary"] == found.summary
    assert told["date"] == found.date.isoformat()
    mastery = told["metrics"]["mastery"]
    assert (mastery["cohort_a"]["students"], mastery["cohort_b"]["students"]) == (10, 12)
    assert 0 < mastery["welch"]["p"] < 1
    assert 0 < mastery["mann_whitney"]["p"] < 1
    assert told["metrics"]["quiz"] is None
    assert sum(level["students"] for level in told["cohort_b"]["levels"].values()) == 12
    assert "c-1-" not in answer.text
    entries = live_api.get("/audit?action=analytics.compare-cohorts").json()["data"]["entries"]
    by_task = [each for each in entries if each["channel"] == "task"]
    assert {(each["role"], each["who"], each["outcome"], each["students"]) for each in by_task} == {
        ("admin", "tester", "done", 0)
    }
    assert all(each["details"] == BODY for each in entries)


@pytest.mark.parametrize("caller", [{}, TEACHER])
def test_who_may(live_api: LiveApi, classrooms: Callable[..., None], caller: dict[str, Any]) -> None:
    """Admins, and teachers of both cohorts."""
    classrooms(c_1=5, c_2=5)
    assert live_api.post(PATH, BODY, **caller).status_code in {200, 202}


def test_handed_over_on_request(live_api: LiveApi, classrooms: Callable[..., None]) -> None:
    """``Prefer: respond-async`` returns an address at once, where the same answer is; for its caller and admins only."""
    classrooms(c_1=6, c_2=6)
    accepted = live_api.post(PATH, BODY, ASYNC, **TEACHER)
    assert accepted.status_code == 202
    place = accepted.headers["Location"]
    wait_for(lambda: live_api.get(place, **TEACHER).json()["data"]["status"] == "succeeded", TASK_SECONDS)
    result = live_api.get(place, **TEACHER).json()["data"]["result"]
    wait_for(lambda: live_api.post(PATH, BODY).status_code == 200, TASK_SECONDS)
    assert live_api.post(PATH, BODY).json()["data"] == result
    assert live_api.get(place, role=Role.TEACHER, subject="someone-else", cohorts=("c-1", "c-2")).status_code == 403


def test_students_who_leave_while_the_task_waits(live_api: LiveApi, classrooms: Callable[..., None]) -> None:
    """The task checks again, and its state has the reason."""
    classrooms(c_1=5, c_2=5)
    with hanging_worker(live_api.stack):
        place = live_api.post(PATH, BODY, ASYNC).headers["Location"]
        for cohort in BODY.values():
            live_api.put(f"/student/{cohort}-0/consent", {"cohort_statistics": False})
    wait_for(lambda: live_api.get(place).json()["data"]["status"] == "failed", TASK_SECONDS)
    assert live_api.get(place).json()["data"]["reason"] == f"cohort_a: {TOO_FEW}"
