"""POST /analytics/compare by teachers and admins: who is compared with which cohort, and what the answer has."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.analytics.comparison import IN_ANOTHER_COHORT, IN_NO_COHORT
from app.mastery.derive_scores import refresh_scores
from app.roles import Role
from tests.conftest import NOW
from tests.integration.audit_calls import trail
from tests.integration.comparisons import PATH, SELF, allow, compare, record_classroom, refusal, told
from tests.integration.conftest import FixedTimeApi
from tests.learning_events import completion, quiz

TEACHER: dict[str, Any] = {"role": Role.TEACHER, "cohorts": ("c-1", "c-9")}


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With a classroom. It is 2026-10-28."""
    record_classroom(api)
    return api


@pytest.mark.parametrize("caller", [{}, TEACHER])
def test_a_student_and_the_own_cohort(api: FixedTimeApi, caller: dict[str, Any]) -> None:
    """For admins and the cohort's teacher, as it is now: one student is below, two are equal, three above."""
    assert told(api, caller=caller) == {
        "student_id": "s-1",
        "student_cohort_id": "c-1",
        "cohort_id": "c-1",
        "is_member": True,
        "date": "2026-10-28",
        "published": False,
        "metrics": {
            "mastery": {
                "score": 0.06,
                "statistics": {
                    "students": 6,
                    "mean": 0.12,
                    "median": 0.09,
                    "lower_quartile": 0.06,
                    "upper_quartile": 0.1875,
                    "standard_deviation": 0.079373,
                },
                "percentile": 33.3333,
                "rank": 4,
                "total": 6,
            }
        },
        "note": None,
    }


def test_by_component(api: FixedTimeApi) -> None:
    """Those of which fewer than five have evidence have no statistics, and the note names them."""
    api.record(*(completion(student_id=f"s-{number}", completed_exercises=1, total_exercises=2) for number in (0, 1)))
    found = told(api, metric="by_component")
    assert list(found["metrics"]) == ["mastery", "completion", "quiz", "quality", "consistency"]
    nothing = {"statistics": None, "percentile": None, "rank": None, "total": None}
    assert found["metrics"]["completion"] == {"score": 0.5, **nothing}
    assert found["metrics"]["quality"] == {"score": None, **nothing}
    of_quiz = found["metrics"]["quiz"]
    assert (of_quiz["score"], of_quiz["rank"], of_quiz["statistics"]["mean"]) == (0.2, 4, 0.4)
    assert found["metrics"]["mastery"]["score"] == 0.26
    assert found["note"] == "Fewer than 5 students of this cohort can be compared in: completion, quality, consistency."


def test_what_has_just_come_counts(api: FixedTimeApi) -> None:
    """It is no stored statistic: s-1 is the best now."""
    api.record(completion(student_id="s-1", completed_exercises=1, total_exercises=1))
    of_mastery = told(api)["metrics"]["mastery"]
    assert (of_mastery["score"], of_mastery["rank"], of_mastery["percentile"]) == (0.46, 1, 91.6667)


@pytest.mark.parametrize(("student", "cohort", "note"), [("s-alone", None, IN_NO_COHORT), ("s-23", "c-2", IN_ANOTHER_COHORT)])
def test_from_outside(api: FixedTimeApi, student: str, cohort: str | None, note: str) -> None:
    """Of a student who is in another cohort or in none, the present score is compared, and not counted."""
    found = told(api, student, cohort_id="c-1")
    assert (found["student_cohort_id"], found["cohort_id"], found["is_member"]) == (cohort, "c-1", False)
    assert found["note"] == note
    assert found["metrics"]["mastery"]["total"] == found["metrics"]["mastery"]["statistics"]["students"] == 6
    expected = {"s-alone": (0.15, 66.6667, 3), "s-23": (0.09, 50.0, 4)}[student]
    assert tuple(found["metrics"]["mastery"][name] for name in ("score", "percentile", "rank")) == expected


def test_a_moved_student(api: FixedTimeApi) -> None:
    """Is in the new cohort at once, and nowhere else."""
    api.record(quiz(student_id="s-5", cohort_id="c-2", timestamp="2026-10-28T09:00:00Z", total_questions=1, correct_answers=0))
    found = told(api, "s-5")
    assert (found["cohort_id"], found["is_member"], found["metrics"]["mastery"]["total"]) == ("c-2", True, 5)
    assert told(api)["metrics"]["mastery"]["total"] == 5


def test_no_cohort(api: FixedTimeApi) -> None:
    expected = (404, "NOT_FOUND", "The events of this student name no cohort.")
    assert refusal(compare(api, "s-alone")) == expected


@pytest.mark.parametrize(
    ("cohort", "expected"),
    [
        ("c-nobody", (404, "NOT_FOUND", "No students with evidence in this cohort.")),
        ("c-2", (422, "VALIDATION_ERROR", "The request is not valid. fewer than 5 students of this cohort can be compared")),
    ],
)
def test_too_few(api: FixedTimeApi, cohort: str, expected: tuple[int, str, str]) -> None:
    """Nobody, or fewer than five; also for a teacher of the cohort."""
    assert refusal(compare(api, cohort_id=cohort)) == expected
    teacher = {"role": Role.TEACHER, "cohorts": ("c-1", cohort)}
    assert refusal(compare(api, caller=teacher, cohort_id=cohort)) == expected


def test_who_withdraws_is_left_out_at_once(api: FixedTimeApi) -> None:
    """And is not compared, until they consent again. With fewer than five others there is nothing."""
    allow(api, "s-5", given=False)
    for caller in ({}, TEACHER):
        assert refusal(compare(api, "s-5", caller))[:2] == (403, "CONSENT_WITHDRAWN")
        assert refusal(compare(api, "s-5", caller, cohort_id="c-1"))[:2] == (403, "CONSENT_WITHDRAWN")
    found = told(api)["metrics"]["mastery"]
    assert (found["total"], found["rank"], found["statistics"]["mean"]) == (5, 3, 0.096)
    allow(api, "s-4", given=False)
    assert refusal(compare(api))[:2] == (422, "VALIDATION_ERROR")
    allow(api, "s-5", given=True)
    assert told(api)["metrics"]["mastery"]["statistics"]["mean"] == 0.102


@pytest.mark.parametrize(
    ("caller", "student", "cohort"),
    [
        ({"role": Role.TEACHER, "cohorts": ("c-2",)}, "s-1", None),
        ({"role": Role.TEACHER, "cohorts": ("c-2",)}, "s-1", "c-2"),  # the cohort is the teacher's, the student is not
        ({"role": Role.TEACHER, "cohorts": ("c-1",)}, "s-1", "c-2"),  # the other way round
        ({"role": Role.TEACHER, "cohorts": ("c-1",)}, "s-1", "c-nobody"),
        ({"role": Role.TEACHER, "cohorts": ("c-1",)}, "s-alone", "c-1"),
        ({"role": Role.TEACHER, "cohorts": ("c-1",), "tenant": "t-2"}, "s-1", "c-1"),
        ({"role": Role.STUDENT, "subject": "s-2"}, "s-1", None),
        ({"role": Role.STUDENT, "subject": "s-2"}, "s-1", "c-1"),
        (SELF, "s-1", "c-2"),
        (SELF, "s-1", "c-nobody"),
        ({"role": Role.STUDENT, "subject": "s-alone"}, "s-alone", "c-1"),
        ({"role": Role.SERVICE}, "s-1", "c-1"),
    ],
)
def test_who_may_not(api: FixedTimeApi, caller: dict[str, Any], student: str, cohort: str | None) -> None:
    """Both the student and the cohort must be the caller's; students are compared with their own cohort only."""
    assert refusal(compare(api, student, caller, **({"cohort_id": cohort} if cohort else {})))[:2] == (403, "FORBIDDEN")
    (entry,) = trail(api, caller.get("tenant", "t-1"))
    assert (entry["action"], entry["outcome"]) == ("analytics.compare", "denied")


def test_another_tenant_has_others(api: FixedTimeApi) -> None:
    """An admin elsewhere finds neither the student nor the cohort."""
    elsewhere = {"tenant": "t-2"}
    assert refusal(compare(api, caller=elsewhere))[:2] == (404, "NOT_FOUND")
    api.record(quiz(tenant_id="t-2", student_id="s-1", correct_answers=10))
    assert refusal(compare(api, caller=elsewhere))[:2] == (422, "VALIDATION_ERROR")
    assert told(api)["metrics"]["mastery"]["score"] == 0.06


def test_unknown_students(api: FixedTimeApi) -> None:
    assert refusal(compare(api, "s-nobody", cohort_id="c-1")) == (404, "NOT_FOUND", "No evidence of such a student.")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"metric": "quiz"}, "metric"),
        ({"metric": None}, "metric"),
        ({"cohort_id": "c 1"}, "cohort_id"),
        ({"cohort_id": None}, "cohort_id"),
        ({"student_id": ""}, "student_id"),
        ({"date": "2026-10-27"}, "date"),
    ],
)
def test_fields(api: FixedTimeApi, body: dict[str, Any], field: str) -> None:
    answer = api.post(PATH, {"student_id": "s-1", **body})
    assert (answer.status_code, list(answer.get_json()["error"]["details"])) == (422, [field])


@pytest.mark.parametrize(
    ("caller", "body", "outcome", "cohort"),
    [
        ({}, {}, "done", "c-1"),
        (TEACHER, {"cohort_id": "c-1"}, "done", "c-1"),
        (TEACHER, {"cohort_id": "c-2"}, "denied", "c-2"),
        (TEACHER | {"cohorts": ("c-2",)}, {"cohort_id": "c-2"}, "denied", "c-2"),
        ({}, {"cohort_id": "c-nobody"}, "not_found", "c-nobody"),
    ],
)
def test_the_audit_trail(api: FixedTimeApi, caller: dict[str, Any], body: dict[str, Any], outcome: str, cohort: str) -> None:
    """It has whom the answer is about, and the cohort, also if the caller did not name it or was refused."""
    compare(api, caller=caller, **body)
    (entry,) = trail(api)
    assert (entry["action"], entry["outcome"], entry["details"]) == ("analytics.compare", outcome, {"cohort_id": cohort})
    assert entry["whose"] == [api.engine.audit.pseudonym("t-1", "s-1")]


def test_scores_of_an_earlier_day(api: FixedTimeApi) -> None:
    """Until the refresh after midnight has run, the answer says of which day the scores are at least."""
    tomorrow = NOW + timedelta(days=1)
    engine = replace(api.engine, clock=lambda: tomorrow)
    later = FixedTimeApi(engine)
    found = told(later)
    assert found["date"] == "2026-10-28"
    assert found["note"] == "The refresh after midnight has not ended: scores may still be of 2026-10-28."
    list(refresh_scores(stores=engine.mastery, consents=engine.consents, now=tomorrow, batch=3))
    found = told(later)
    assert (found["date"], found["note"]) == ("2026-10-29", None)
