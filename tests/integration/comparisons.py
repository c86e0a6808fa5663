"""Students whose scores can be compared, and requests that compare them."""

from typing import Any

from app.roles import Role
from tests.integration.conftest import FixedTimeApi
from tests.learning_events import quiz

PATH = "/analytics/compare"
# Correct answers of ten, of the students s-0, s-1 … in c-1.
ANSWERS = (1, 2, 2, 4, 7, 8)
SELF: dict[str, Any] = {"role": Role.STUDENT, "subject": "s-1"}


def record_classroom(api: FixedTimeApi) -> None:
    """Record quizzes of six students in c-1, four in c-2, and s-alone in no cohort: mastery is 0.3 times the result."""
    api.record(*(quiz(student_id=f"s-{number}", correct_answers=correct) for number, correct in enumerate(ANSWERS)))
    api.record(*(quiz(student_id=f"s-2{number}", cohort_id="c-2", correct_answers=number) for number in range(4)))
    api.record(quiz(student_id="s-alone", cohort_id=None, correct_answers=5))


def compare(api: FixedTimeApi, student: str = "s-1", caller: dict[str, Any] | None = None, **body: Any) -> Any:
    return api.post(PATH, {"student_id": student, **body}, **(caller or {}))


def told(api: FixedTimeApi, student: str = "s-1", caller: dict[str, Any] | None = None, **body: Any) -> dict[str, Any]:
    answer = compare(api, student, caller, **body)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.get_json()["data"]
    return data


def refusal(answer: Any) -> tuple[int, str, str]:
    error = answer.get_json()["error"]
    reasons = [reason for reasons in error["details"].values() for reason in reasons]
    return answer.status_code, error["code"], " ".join([error["message"], *reasons])


def allow(api: FixedTimeApi, student: str, *, given: bool) -> None:
    answer = api.call(f"/student/{student}/consent", {"cohort_statistics": given}, method="PUT")
    assert answer.status_code == 200, answer.text
