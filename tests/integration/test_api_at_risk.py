"""GET /predictions/at-risk: who sees whom, pages, and the list of a real worker."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from app.errors import DependencyUnavailable
from app.predictions.at_risk import students_at_risk
from app.predictions.risk import RiskModel
from app.roles import Role
from tests.classrooms import TODAY
from tests.conftest import NOW
from tests.integration.audit_calls import trail
from tests.integration.conftest import FixedTimeApi
from tests.learning_events import activity, completion, quiz
from tests.stored_models import CONTENT, RISK, RISK_TESTED, summary

PATH = "/predictions/at-risk"
TEACHER: dict[str, Any] = {"role": Role.TEACHER, "cohorts": ("c-1",)}
TASK_SECONDS = 20.0


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With three students of c-1, one of c-2, and the list of c-1: no worker runs here. It is 2026-10-28.

    s-good has 0.4 + 0.3 + 0.1/14 and was active a day ago, s-quiz 0.3 · 0.4 and s-low 0.1/14 twenty days ago.
    """
    api.record(
        activity(student_id="s-good", timestamp="2026-10-27T09:00:00Z"),
        completion(student_id="s-good", timestamp="2026-10-27T09:00:00Z", completed_exercises=10, total_exercises=10),
        quiz(student_id="s-good", timestamp="2026-10-27T09:00:00Z", correct_answers=10),
        activity(student_id="s-quiz", timestamp="2026-10-27T09:00:00Z"),
        quiz(student_id="s-quiz", timestamp="2026-10-27T09:00:00Z", correct_answers=4),
        activity(student_id="s-low", timestamp="2026-10-08T09:00:00Z"),
        activity(student_id="s-other", cohort_id="c-2", timestamp="2026-10-08T09:00:00Z"),
    )
    compute(api)
    return api


def compute(api: FixedTimeApi, cohort: str = "c-1") -> None:
    """Compute and store a list, as the worker does."""
    using, now = api.engine.risk_listing, api.engine.clock()
    students_at_risk("t-1", cohort, using=using, now=now, note=lambda _students: None)


def ask(api: FixedTimeApi, query: str = "", cohort: str = "c-1", **caller: Any) -> Any:
    return api.call(f"{PATH}?cohort_id={cohort}{query}", method="GET", **caller)


def told(api: FixedTimeApi, query: str = "", **caller: Any) -> dict[str, Any]:
    answer = ask(api, query, **caller)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.get_json()["data"]
    return data


def names(of: dict[str, Any]) -> list[str]:
    return [each["student_id"] for each in of["students"]]


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["error"]["code"]


@pytest.mark.parametrize("caller", [{}, TEACHER])
def test_a_list(api: FixedTimeApi, caller: dict[str, Any]) -> None:
    """For admins and the cohort's teacher: the highest probability first, with reasons from the facts."""
    assert told(api, **caller) == {
        "cohort_id": "c-1",
        "computed_at": "2026-10-28T12:00:00.000Z",
        "model": "base",
        "model_version": "1",
        "total": 3,
        "students": [
            {
                "student_id": "s-low",
                "probability": 0.95,
                "current_score": 0.0,
                "inactive_days": 20,
                "reasons": [
                    {"code": "inactive", "text": "Inactive for 20 days."},
                    {"code": "no_evidence", "text": "No evidence at present: completion, quiz, quality."},
                ],
            },
            {
                "student_id": "s-quiz",
                "probability": 0.73,
                "current_score": 0.127143,
                "inactive_days": 1,
                "reasons": [
                    {"code": "low_quiz", "text": "Only 40% of the quiz answers are correct."},
                    {"code": "no_evidence", "text": "No evidence at present: completion, quality."},
                ],
            },
            {
                "student_id": "s-good",
                "probability": 0.06,
                "current_score": 0.707143,
                "inactive_days": 1,
                "reasons": [{"code": "no_evidence", "text": "No evidence at present: quality."}],
            },
        ],
        "next": None,
    }


def test_who_was_never_active(api: FixedTimeApi) -> None:
    """Where the platform tells of no activity, whoever has new evidence is not inactive."""
    same: dict[str, Any] = {"student_id": "s-new", "cohort_id": "c-3", "timestamp": "2026-10-28T09:00:00Z"}
    api.record(quiz(correct_answers=10, **same), completion(completed_exercises=10, total_exercises=10, **same))
    compute(api, "c-3")
    (student,) = ask(api, cohort="c-3").get_json()["data"]["students"]
    assert (student["inactive_days"], [each["code"] for each in student["reasons"]]) == (0, ["no_evidence"])
    assert student["probability"] == 0.06


def test_the_facts_are_those_of_now(api: FixedTimeApi) -> None:
    """All that is said of a student; only the order is that of the list."""
    api.record(activity(student_id="s-low", timestamp="2026-10-28T09:00:00Z"))
    low = told(api)["students"][0]
    assert (low["probability"], low["current_score"], low["inactive_days"]) == (0.73, 0.007143, 0)
    assert [each["code"] for each in low["reasons"]] == ["no_evidence"]


@pytest.mark.parametrize(
    ("cohort", "caller"),
    [
        ("c-1", {"role": Role.STUDENT, "subject": "s-low"}),
        ("c-1", {"role": Role.SERVICE}),
        ("c-1", {"role": Role.TEACHER, "cohorts": ("c-2",)}),
        ("c-1", {"role": Role.TEACHER}),
        ("c-nobody", TEACHER),
    ],
)
def test_who_may_not(api: FixedTimeApi, cohort: str, caller: dict[str, Any]) -> None:
    """Students, services, and teachers of others, whether the cohort exists or not."""
    assert refusal(ask(api, cohort=cohort, **caller)) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    "caller", [{"cohort": "c-nobody"}, {"cohort": "c-nobody", **TEACHER, "cohorts": ("c-nobody",)}, {"tenant": "t-2"}]
)
def test_nobody_with_evidence(api: FixedTimeApi, caller: dict[str, Any]) -> None:
    """404 for who may ask: an empty list would say that all is well. Another tenant's cohort of this name is none."""
    answer = ask(api, **caller)
    assert refusal(answer) == (404, "NOT_FOUND")
    assert answer.get_json()["error"]["message"] == "No students with evidence in this cohort."


@pytest.mark.parametrize("computed_before", [True, False])
def test_consent_withdrawn(api: FixedTimeApi, computed_before: bool) -> None:
    """Who withdraws is removed from the list, and not in the next one; who gives it again is in the next one only."""
    api.call("/student/s-quiz/consent", {"predictions": False}, method="PUT", role=Role.STUDENT, subject="s-quiz")
    if not computed_before:
        api.engine.redis.delete(*api.engine.redis.scan_iter(f"{api.engine.settings.key_prefix}:*at-risk*"))
        compute(api)
    for given in (False, True):
        api.call("/student/s-quiz/consent", {"predictions": given}, method="PUT")
        found = told(api)
        assert (names(found), found["total"]) == (["s-low", "s-good"], 2)


def test_an_erased_student(api: FixedTimeApi) -> None:
    """Is not in the list any more, nor in its number."""
    assert api.call("/student/s-low", method="DELETE").status_code == 202
    found = told(api)
    assert (names(found), found["total"]) == (["s-quiz", "s-good"], 2)
    keys = api.engine.redis.scan_iter(f"{api.engine.settings.key_prefix}:*at-risk*")
    assert not [key for key in keys if b"s-low" in (api.engine.redis.dump(key) or b"")]


def test_a_student_who_changes_cohorts(api: FixedTimeApi) -> None:
    """Is not shown to the teacher of the old one."""
    api.record(activity(student_id="s-low", cohort_id="c-2", timestamp="2026-10-28T09:00:00Z"))
    assert names(told(api, **TEACHER)) == ["s-quiz", "s-good"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_paging_over_everything(api: FixedTimeApi, limit: int) -> None:
    """Each student once, in the order of the whole list; no cursor names a student."""
    seen, cursor = [], ""
    while True:
        page = told(api, f"&limit={limit}{cursor}")
        assert len(page["students"]) <= limit
        seen += names(page)
        if page["next"] is None:
            break
        assert "s-" not in page["next"]
        cursor = f"&cursor={page['next']}"
    assert seen == ["s-low", "s-quiz", "s-good"]


def test_only_high_probabilities(api: FixedTimeApi) -> None:
    """From the given one on; the total stays that of the list."""
    for at_least, expected in (("0.73", ["s-low", "s-quiz"]), ("0.7301", ["s-low"]), ("1", []), ("0", names(told(api)))):
        found = told(api, f"&at_least={at_least}")
        assert (names(found), found["total"]) == (expected, 3)
    page = told(api, "&at_least=0.5&limit=1")
    assert names(told(api, f"&at_least=0.5&limit=1&cursor={page['next']}")) == ["s-quiz"]


def test_a_cursor_of_an_older_list(api: FixedTimeApi) -> None:
    """422, with what to do."""
    cursor = told(api, "&limit=1")["next"]
    later = FixedTimeApi(replace(api.engine, clock=lambda: NOW + timedelta(days=1)))
    compute(later)
    answer = ask(later, f"&limit=1&cursor={cursor}")
    assert refusal(answer) == (422, "VALIDATION_ERROR")
    assert answer.get_json()["error"]["details"] == {"cursor": ["the list was computed anew; begin again without a cursor"]}


@pytest.mark.parametrize(
    "query",
    [
        *(f"&limit={value}" for value in ("0", "101", "x", "")),
        *(f"&at_least={value}" for value in ("1.01", "-0.1", "nan", "inf", "", "1e-3", "9" * 400)),
        *(f"&cursor={value}" for value in ("", "1", "s-low", "0-1", "1-1-1", "1--1", "9" * 19 + "-1")),
        "&student_id=s-1",
    ],
)
def test_invalid_fields(api: FixedTimeApi, query: str) -> None:
    """422 with the field's name."""
    answer = ask(api, query)
    assert (answer.status_code, list(answer.get_json()["error"]["details"])) == (422, [query[1:].partition("=")[0]])


def test_the_cohort_is_required(api: FixedTimeApi) -> None:
    """There is no list of a tenant."""
    for query in ("", "?cohort_id=", "?cohort_id=c%201", "?cohort_id=c-1&cohort_id=c-2"):
        answer = api.call(PATH + query, method="GET")
        assert (answer.status_code, list(answer.get_json()["error"]["details"])) == (422, ["cohort_id"])


def test_the_audit_trail(api: FixedTimeApi) -> None:
    """Has who read which students; of a refused request, none."""
    told(api, "&limit=2", **TEACHER)
    ask(api, role=Role.TEACHER)
    pseudonyms = [api.engine.audit.pseudonym("t-1", student) for student in ("s-low", "s-quiz")]
    found = [(each["action"], each["outcome"], each.get("whose"), each["details"]) for each in trail(api)]
    assert found == [
        ("predictions.at-risk", "done", pseudonyms, {"cohort_id": "c-1"}),
        ("predictions.at-risk", "denied", None, {"cohort_id": "c-1"}),
    ]


def promote(api: FixedTimeApi, risk: RiskModel | None, *, answers: bool = True) -> None:
    """Let a small model answer, whose risk was better than the table or not."""
    models = api.engine.learning.models
    models.put(summary("v-1", "t-1", risk=structs.replace(RISK_TESTED, answers=answers)), structs.replace(CONTENT, risk=risk))
    models.promote("t-1", "v-1")


def test_a_learned_risk(api: FixedTimeApi) -> None:
    """A promoted model answers at once, in a new list that names it."""
    promote(api, RISK)
    compute(api)
    found = told(api)
    assert (found["model"], found["model_version"], found["total"]) == ("learned", "v-1", 3)
    days = [("t-2", TODAY), ("t-1", TODAY), ("t-1", TODAY - 1)]  # another tenant's, and a day that it has learned from
    assert [api.engine.learned_models.risk(*each).name for each in days] == ["base", "learned", "base"]
    by_name = {each["student_id"]: each["probability"] for each in found["students"]}
    assert by_name == {"s-low": 0.525, "s-quiz": 0.525, "s-good": 0.475}  # 1 / (1 + exp(∓0.1)): mastery up to 0.5, or more
    api.engine.learning.models.roll_back("t-1")
    compute(api)
    assert told(api)["model"] == "base"


@pytest.mark.parametrize("answers", [True, False])
def test_a_model_without_a_usable_risk(api: FixedTimeApi, answers: bool) -> None:
    """One whose risk was no better: the table. One that has lost its risk is withdrawn, and the table answers then."""
    promote(api, None, answers=answers)
    if answers:
        with pytest.raises(DependencyUnavailable, match="the learned model was withdrawn"):
            compute(api)
    compute(api)
    assert told(api)["model"] == "base"
