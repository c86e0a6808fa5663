"""POST /batch/mastery: who may submit what, and what is said about students that cannot be part of a batch."""

from typing import Any

import pytest

from app.batches.batch import MAX_STUDENTS
from app.roles import Role
from tests.integration.batch_calls import BATCHES, compute, submit
from tests.integration.conftest import FixedTimeApi, api_with, details
from tests.learning_events import quiz

TEACHER: dict[str, Any] = {"role": Role.TEACHER, "cohorts": ("c-1",)}


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With students of two cohorts."""
    api.record(*(quiz(student_id=f"s-{number}", cohort_id=f"c-{number}") for number in (1, 2)))
    return api


def test_an_accepted_batch_says_where_to_ask(api: FixedTimeApi) -> None:
    """202, with an id of its own if the caller gives none."""
    answer = api.post(BATCHES, {"compute": "mastery", "students": ["s-1"], "priority": "high"})
    data = answer.get_json()["data"]
    assert answer.status_code == 202
    assert (data["status"], data["priority"], data["total"], data["rejected"]) == ("queued", "high", 1, [])
    assert answer.headers["Location"] == f"{BATCHES}/{data['batch_id']}"
    assert answer.headers["Retry-After"] == "1"
    assert api.call(answer.headers["Location"], method="GET").get_json()["data"]["batch_id"] == data["batch_id"]


def test_students_that_cannot_be_part_are_reported_and_stop_nothing(api: FixedTimeApi) -> None:
    """By position, with a reason each."""
    students = [
        "s-1",
        "s 1",
        "s-9",
        "s-1",
        7,
        {"student_id": "s-3", "components": {"quiz": 0.5}},
        {"student_id": "s-4", "components": {"quiz": 1.5}},
        {"student_id": "s-5", "component": {}},
        {"components": {}},
        {"student_id": "s-2", "components": None},
    ]
    data = submit(api, students=students)
    assert data["total"] == 3
    assert {each["index"]: each["reason"] for each in data["rejected"]} == {
        1: "must be 1 to 50 letters, digits, _ or -",
        2: "no evidence of such a student",
        3: "is listed already, at 0",
        4: "must be an id, or an object with student_id",
        6: "components.quiz: Expected `float` <= 1.0",
        7: "has an unknown field",
        8: "Object missing required field `student_id`",
    }
    compute(api, "b-1")
    found = api.call(f"{BATCHES}/b-1/results", method="GET").get_json()["data"]["results"]
    assert [each["student_id"] for each in found] == ["s-1", "s-3", "s-2"]


def test_a_batch_without_a_valid_student_is_refused(api: FixedTimeApi) -> None:
    """422, with the reason of each."""
    answer = api.post(BATCHES, {"compute": "mastery", "students": ["s-8", "s-9"]})
    reasons = ["no evidence of such a student"]
    assert details(answer) == {"students.0": reasons, "students.1": reasons}


def test_a_teacher_s_batch_has_only_students_of_the_teacher_s_cohorts(api: FixedTimeApi) -> None:
    """The reason is the same whether a student is elsewhere or does not exist."""
    answer = api.post(BATCHES, {"compute": "mastery", "students": ["s-1", "s-2", "s-9"]}, **TEACHER)
    reason = "you may not see this student"
    assert answer.get_json()["data"]["rejected"] == [{"index": 1, "reason": reason}, {"index": 2, "reason": reason}]


@pytest.mark.parametrize(
    ("caller", "body", "status"),
    [
        ({}, {"cohort_id": "c-9"}, 202),
        ({}, {"all": True}, 202),
        (TEACHER, {"cohort_id": "c-1"}, 202),
        (TEACHER, {"cohort_id": "c-2"}, 403),
        (TEACHER, {"all": True}, 403),
        ({"role": Role.STUDENT, "subject": "s-1"}, {"students": ["s-1"]}, 403),
        ({"role": Role.SERVICE}, {"all": True}, 403),
    ],
)
def test_who_may_submit_what(api: FixedTimeApi, caller: dict[str, Any], body: dict[str, Any], status: int) -> None:
    """Teachers their cohorts, admins everything; a task finds the students, so their number is not known yet."""
    answer = api.post(BATCHES, {"compute": "mastery", **body}, **caller)
    assert answer.status_code == status, answer.text
    assert status == 403 or answer.get_json()["data"]["total"] is None


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"students", "cohort_id", "all"}),
        ({"students": ["s-1"], "all": True}, {"students", "cohort_id", "all"}),
        ({"students": []}, {"students"}),
        ({"students": ["s-1"] * (MAX_STUDENTS + 1)}, {"students"}),
        ({"students": "s-1"}, {"students"}),
        ({"all": False}, {"all"}),
        ({"cohort_id": "c 1"}, {"cohort_id"}),
        ({"students": ["s-1"], "compute": "everything"}, {"compute"}),
        ({"students": ["s-1"], "priority": "urgent"}, {"priority"}),
        ({"students": ["s-1"], "batch_id": "b/1"}, {"batch_id"}),
        ({"students": ["s-1"], "as_of": "today"}, {"as_of"}),
        ({"students": ["s-1"], "as_of": "2026-10-29"}, {"as_of"}),
        ({"students": ["s-1"], "as_of": "2026-07-01"}, {"as_of"}),
        ({"students": ["s-1"], "weights": {"quiz": 0.5}}, {"weights"}),
        ({"students": ["s-1"], "other": 1}, {"other"}),
    ],
)
def test_invalid_requests_are_refused_by_field(api: FixedTimeApi, body: dict[str, Any], fields: set[str]) -> None:
    """And create nothing."""
    assert details(api.post(BATCHES, {"compute": "mastery", **body})).keys() == fields
    assert api.call(BATCHES, method="GET").get_json()["data"]["batches"] == []


def test_the_same_id_and_body_are_the_same_batch(api: FixedTimeApi) -> None:
    """The answer is that of the first request, also about rejected students, with the status of now."""
    first = submit(api, students=["s-1", "s-9"])
    compute(api, "b-1")
    assert submit(api, students=["s-1", "s-9"]) == first | {"status": "succeeded"}


@pytest.mark.parametrize(
    ("changes", "caller"),
    [
        ({"students": ["s-2"]}, {}),
        ({"priority": "low"}, {}),
        ({}, {"subject": "another"}),
    ],
)
def test_an_id_of_another_request_is_a_conflict(api: FixedTimeApi, changes: dict[str, Any], caller: dict[str, Any]) -> None:
    """Also if another caller repeats the body."""
    body = {"compute": "mastery", "batch_id": "b-1", "students": ["s-1"]}
    assert api.post(BATCHES, body).status_code == 202
    answer = api.post(BATCHES, body | changes, **caller)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (409, "CONFLICT")
    assert api.post(BATCHES, body, tenant="t-2").status_code == 422  # another tenant's id, but none of its students


def test_an_idempotency_key_is_honoured(api: FixedTimeApi) -> None:
    """The repeated request gets the first one's answer and batch, with its location."""
    body = {"compute": "mastery", "students": ["s-1", "s-9"]}
    first, again = (api.call(BATCHES, body, headers={"Idempotency-Key": "k-1"}) for _ in range(2))
    assert again.status_code == 202
    assert again.get_json()["data"] == first.get_json()["data"]
    assert (again.headers["Location"], again.headers["Idempotent-Replayed"]) == (first.headers["Location"], "true")
    assert len(api.call(BATCHES, method="GET").get_json()["data"]["batches"]) == 1


def test_a_tenant_s_quota(api: FixedTimeApi) -> None:
    """429 beyond it, with what the limit is."""
    with api_with(api.engine.settings, quota_batch_students="40") as limited:
        assert [limited.post(BATCHES, {"compute": "mastery", "students": ["s-1"]}).status_code for _ in range(2)] == [202, 429]
        refused = limited.post(BATCHES, {"compute": "mastery", "students": ["s-1"]})
        assert refused.get_json()["error"]["code"] == "RATE_LIMITED"
        assert "may have 40 students" in refused.get_json()["error"]["details"]["tenant_id"][0]
        assert refused.headers["Retry-After"] == "60"


def test_a_repeated_request_is_not_checked_again(api: FixedTimeApi) -> None:
    """Its students may be gone since."""
    first = submit(api, students=["s-1"])
    api.engine.redis.delete(api.engine.mastery.facts.record_key("t-1", "s-1"))
    assert submit(api, students=["s-1"]) == first


def test_what_callers_write_is_not_stored_as_a_reason(api: FixedTimeApi) -> None:
    """Neither names of fields nor ids, which may be long; and rejected students count in the quota."""
    students = ["s-1", {"student_id": "s-1", "x" * 1000: 1}, "y" * 1000]
    reasons = [each["reason"] for each in submit(api, students=students)["rejected"]]
    assert max(map(len, reasons)) < 60
    with api_with(api.engine.settings, quota_batch_students="60") as limited:
        body = {"compute": "mastery", "students": ["s-1", *("?" for _ in range(20))]}
        assert limited.post(BATCHES, body).status_code == 429


def test_a_rejected_student_may_be_listed_again(api: FixedTimeApi) -> None:
    """With components, for example."""
    data = submit(api, students=["s-9", {"student_id": "s-9", "components": {"quiz": 0.5}}])
    assert (data["total"], [each["index"] for each in data["rejected"]]) == (1, [0])


def test_a_tenant_s_batches_that_run(api: FixedTimeApi) -> None:
    """429 beyond the quota, until one has ended."""
    with api_with(api.engine.settings, quota_batches="1") as limited:
        submit(limited, students=["s-1"])
        refused = limited.post(BATCHES, {"compute": "mastery", "students": ["s-1"]})
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        compute(limited, "b-1")
        submit(limited, "b-2", students=["s-1"])
