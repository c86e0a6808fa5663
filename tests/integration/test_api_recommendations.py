"""POST /recommendations/adaptive; and what it shares with /recommendations/learning-path: consent, fields, texts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.bootstrap import bootstrap
from app.config.settings import Settings
from app.errors import SettingsError
from app.roles import Role
from tests.integration.audit_calls import trail
from tests.integration.conftest import FixedTimeApi, api_with
from tests.learning_events import activity, completion, quality, quiz

ADAPTIVE, LEARNING_PATH = "/recommendations/adaptive", "/recommendations/learning-path"
ACTIONS = {ADAPTIVE: "recommendations.adaptive", LEARNING_PATH: "recommendations.learning-path"}
STUDENT = {"student_id": "s-1"}
SELF: dict[str, Any] = {"role": Role.STUDENT, "subject": "s-1"}
on_both = pytest.mark.parametrize("path", [ADAPTIVE, LEARNING_PATH])


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With the facts of s-1 in c-1: 4 of 10 exercises, 5 of 10 answers, no submission, 3 active days. It is 2026-10-28."""
    api.record(
        *(activity(timestamp=f"2026-10-{day}T08:00:00Z") for day in (26, 27, 28)),
        completion(timestamp="2026-10-20T09:00:00Z", completed_exercises=4, total_exercises=10),
        quiz(timestamp="2026-10-20T09:00:00Z", correct_answers=5),
    )
    return api


def data(api: FixedTimeApi, path: str, **body: Any) -> dict[str, Any]:
    answer = api.post(path, STUDENT | body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()["data"]
    return told


def components(api: FixedTimeApi, **body: Any) -> list[str]:
    return [each["component"] for each in data(api, ADAPTIVE, **body)["recommendations"]]


def test_recommendations(api: FixedTimeApi) -> None:
    """One for each weak component: what, why, how long and what it brings; the gains add up to the formula's total.

    0.4 · 0.4 + 0.3 · 0.5 + 0.1 · 3/14 = 0.331429 becomes 0.4 · 0.7 + 0.3 · 0.7 + 0.2 · 0.9 + 0.1 · 10/14 = 0.741429.
    """
    told = data(api, ADAPTIVE)
    found = told.pop("recommendations")
    assumptions = told.pop("assumptions")
    assert told == {
        "student_id": "s-1",
        "date": "2026-10-28",
        "score": 0.331429,
        "level": "beginner",
        "total_gain": 0.41,
        "expected_score": 0.741429,
        "expected_level": "competent",
        "message": "There is something to improve. Recommendations: 4.",
    }
    assert len(assumptions) == 4
    assert [(each["component"], each["action"], each["priority"], each["score"], each["gain"]) for each in found] == [
        ("quality", "refactor", "high", None, 0.18),
        ("completion", "practice", "high", 0.4, 0.12),
        ("quiz", "review", "medium", 0.5, 0.06),
        ("consistency", "schedule", "medium", 0.214286, 0.05),
    ]


def test_a_recommendation(api: FixedTimeApi) -> None:
    """What to do and why, how long it takes, what it brings. Without evidence, it asks for some."""
    found = data(api, ADAPTIVE)["recommendations"]
    assert found[1] == {
        "component": "completion",
        "action": "practice",
        "area": "Exercises",
        "priority": "high",
        "impact": 0.12,
        "score": 0.4,
        "reached": 0.7,
        "amount": 3,
        "estimated_minutes": 60,
        "gain": 0.12,
        "what": "Work on the next exercises. To do: 3.",
        "why": "40 % of the exercises are done; 70 % are a solid base, and they count most.",
    }
    assert found[0]["what"] == "Hand in a first submission, and have it rated. Submissions: 1."
    assert found[0]["why"] == "No submission has been rated yet; evidence comes first."


def test_filters_come_before_the_limit(api: FixedTimeApi) -> None:
    """The limit counts what is left."""
    assert components(api, limit=2) == ["quality", "completion"]
    assert components(api, limit=1, priority="medium") == ["quiz"]
    assert components(api, limit=2, components=["consistency", "quiz", "quiz"]) == ["quiz", "consistency"]
    told = data(api, ADAPTIVE, priority="low")
    assert (told["recommendations"], told["total_gain"], told["expected_score"]) == ([], 0.0, told["score"])
    assert told["message"] == "There is something to improve, but nothing that matches the request."


def test_nothing_to_improve(api: FixedTimeApi) -> None:
    """An empty list, and a message that says so."""
    days = [f"2026-10-{day}T08:00:00Z" for day in range(15, 29)]
    events = [*(activity(timestamp=day) for day in days), completion(), quiz(), quality()]
    api.record(*(event | {"student_id": "s-2"} for event in events))
    told = data(api, ADAPTIVE, student_id="s-2")
    assert (told["recommendations"], told["assumptions"]) == ([], [])
    assert told["message"] == "Nothing to improve: every component is at 70 % or above."


@on_both
@pytest.mark.parametrize(
    ("student", "caller"),
    [
        ("s-nobody", {"role": Role.ADMIN}),
        ("s-nobody", {"role": Role.STUDENT, "subject": "s-nobody"}),
        ("s-1", {"role": Role.ADMIN, "tenant": "t-2"}),
        ("s-1", {"role": Role.STUDENT, "subject": "s-1", "tenant": "t-2"}),
    ],
)
def test_an_unknown_student(api: FixedTimeApi, path: str, student: str, caller: dict[str, Any]) -> None:
    """404 for callers with access; evidence in another tenant makes no difference."""
    answer = api.post(path, {"student_id": student}, **caller)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (404, "NOT_FOUND")


@on_both
def test_consent_withdrawn(api: FixedTimeApi, path: str) -> None:
    """403 for everyone, the student too, from the next request on; given again, there are recommendations again."""
    for other in ("predictions", "cohort_statistics"):
        api.call("/student/s-1/consent", {other: False}, method="PUT", **SELF)
    assert api.post(path, STUDENT).status_code == 200
    api.call("/student/s-1/consent", {"recommendations": False}, method="PUT", **SELF)
    for caller in (SELF, {"role": Role.TEACHER, "cohorts": ("c-1",)}, {"role": Role.ADMIN}):
        answer = api.post(path, STUDENT, **caller)
        error = answer.get_json()["error"]
        assert (answer.status_code, error["code"]) == (403, "CONSENT_WITHDRAWN")
        assert error["message"] == "The student has not consented to recommendations."
    assert (trail(api)[-1]["action"], trail(api)[-1]["outcome"]) == (ACTIONS[path], "denied")
    api.call("/student/s-1/consent", {"recommendations": True}, method="PUT", **SELF)
    assert api.post(path, STUDENT).status_code == 200


@on_both
def test_consent_that_must_be_recorded(api: FixedTimeApi, path: str) -> None:
    """With the operator's setting, silence is no consent; an unknown student is still a 404."""
    with api_with(api.engine.settings, consent_required="recommendations") as strict:
        answers = [strict.post(path, {"student_id": student}) for student in ("s-1", "s-nobody")]
        strict.event_log.close()
    assert [each.get_json()["error"]["code"] for each in answers] == ["CONSENT_WITHDRAWN", "NOT_FOUND"]


@pytest.mark.parametrize(
    ("path", "field", "values"),
    [
        (ADAPTIVE, "limit", [0, 11, -1, 1.5, "3", True, None, [1]]),
        (ADAPTIVE, "priority", ["urgent", "HIGH", "", 1, None, ["high"]]),
        (ADAPTIVE, "components", [[], "quiz", None, {}, ["quiz"] * 5]),
        (LEARNING_PATH, "target_level", ["master", "Expert", "", 0.9, None]),
        (LEARNING_PATH, "minutes_per_day", [14, 481, 0, -60, 60.5, "60", True, None]),
        *((path, "student_id", ["", "s 1", "x" * 51, 1, None]) for path in (ADAPTIVE, LEARNING_PATH)),
        *((path, "other", [1]) for path in (ADAPTIVE, LEARNING_PATH)),
    ],
)
def test_invalid_fields(api: FixedTimeApi, path: str, field: str, values: list[Any]) -> None:
    """422 with the field's name."""
    for value in values:
        answer = api.post(path, STUDENT | {field: value})
        assert (answer.status_code, list(answer.get_json()["error"]["details"])) == (422, [field]), value


def test_an_invalid_component_is_named_by_its_place(api: FixedTimeApi) -> None:
    """The reason lists those that there are."""
    answer = api.post(ADAPTIVE, STUDENT | {"components": ["quiz", "quizzes"]})
    reason = "Must be one of: completion, quiz, quality, consistency."
    assert (answer.status_code, answer.get_json()["error"]["details"]) == (422, {"components.1": [reason]})


@pytest.mark.usefixtures("api")
def test_a_tenant_s_own_words(settings: Settings, tmp_path: Path) -> None:
    """The file of MASTERY_WORDING_FILE replaces texts, for all tenants or for one."""
    file = tmp_path / "wording.json"
    own = {"completion.area": "Übungen", "completion.what": "Noch {amount} Übungen lösen."}
    file.write_text(json.dumps({"default": {"quiz.area": "Tests"}, "tenants": {"t-1": own}}))
    with api_with(settings, wording_file=str(file)) as worded:
        found = {each["component"]: each for each in data(worded, ADAPTIVE)["recommendations"]}
        steps = data(worded, LEARNING_PATH)["steps"]
        worded.record(quiz(tenant_id="t-2", correct_answers=1))
        elsewhere = worded.post(ADAPTIVE, STUDENT, tenant="t-2").get_json()["data"]["recommendations"]
        worded.event_log.close()
    assert (found["completion"]["area"], found["completion"]["what"]) == ("Übungen", "Noch 3 Übungen lösen.")
    assert (found["quiz"]["area"], found["quality"]["area"]) == ("Tests", "Submissions")
    assert steps[1]["what"] == "Noch 2 Übungen lösen."
    assert {each["area"] for each in elsewhere} == {"Tests", "Exercises", "Submissions", "Study days"}


def test_a_wrong_file_of_texts_is_refused_at_start(settings: Settings, tmp_path: Path) -> None:
    """The process does not start; the error names the setting, the text and what is wrong."""
    file = tmp_path / "wording.json"
    file.write_text(json.dumps({"tenants": {"t-1": {"quiz.what": "{student_id}"}}}))
    with pytest.raises(SettingsError, match=r"^MASTERY_WORDING_FILE: .*: tenants\.t-1, 'quiz\.what': .student_id. is refused"):
        bootstrap(replace(settings, wording_file=str(file)))
