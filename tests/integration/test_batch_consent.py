"""Summaries of batches follow the students' consent: over HTTP and for operators."""

from typing import Any
from uuid import uuid4

from app.config.settings import Settings
from app.consent.change_consent import change_consent
from app.consent.consent import Author
from app.purposes import Purpose
from app.roles import Role
from tests.integration.batch_calls import BATCHES, compute, submit
from tests.integration.batch_desk import new_batch_desk
from tests.integration.conftest import FixedTimeApi
from tests.learning_events import quiz

STUDENTS = [f"s-{number}" for number in range(6)]


def get(api: FixedTimeApi, path: str, **caller: Any) -> Any:
    answer = api.call(f"{BATCHES}{path}", method="GET", **caller)
    assert answer.status_code == 200, answer.text
    return answer.get_json()["data"]


def decide(api: FixedTimeApi, student: str, *, given: bool) -> None:
    body = {"cohort_statistics": given}
    answer = api.call(f"/student/{student}/consent", body, method="PUT", role=Role.STUDENT, subject=student)
    assert answer.status_code == 200, answer.text


def test_who_withdraws_is_left_out_at_once(api: FixedTimeApi) -> None:
    """Of a batch that has ended, too; the list has no summary until it is computed anew. The results stay."""
    api.record(*(quiz(student_id=student) for student in STUDENTS))
    submit(api, students=STUDENTS)
    compute(api, "b-1")

    def counted() -> tuple[int | None, int | None]:
        found = [get(api, "")["batches"][0]["summary"], get(api, "/b-1")["summary"]]
        listed, read = (None if each is None else sum(each["levels"].values()) for each in found)
        return listed, read

    assert counted() == (6, 6)
    decide(api, "s-5", given=False)
    assert [counted(), counted()] == [(None, 5), (5, 5)]
    decide(api, "s-4", given=False)
    assert [counted(), counted()] == [(None, None), (None, None)]
    decide(api, "s-5", given=True)
    assert [counted(), counted()] == [(None, 5), (5, 5)]
    assert len(get(api, "/b-1/results")["results"]) == 6


def test_a_teacher_cannot_compute_the_score_of_who_has_left(api: FixedTimeApi) -> None:
    """There is no summary to subtract the other results from; an admin still gets it, and a list has none for teachers."""
    teacher: dict[str, Any] = {"role": Role.TEACHER, "subject": "t-1", "cohorts": ("c-1",)}
    api.record(*(quiz(student_id=student, cohort_id="c-1") for student in STUDENTS))
    body = {"compute": "mastery", "batch_id": "b-1", "students": STUDENTS}
    assert api.post(BATCHES, body, **teacher).status_code == 202
    compute(api, "b-1")
    assert (get(api, "/b-1", **teacher)["summary"] is None, get(api, "", **teacher)["batches"][0]["summary"]) == (False, None)
    api.record(quiz(student_id="s-3", cohort_id="c-2", event_id=str(uuid4()), timestamp="2026-10-28T11:59:00Z"))
    assert len(get(api, "/b-1/results", **teacher)["results"]) == 5
    assert (get(api, "/b-1", **teacher)["summary"], get(api, "/b-1")["summary"] is None) == (None, False)


def test_operators_see_the_same(settings: Settings) -> None:
    """``mastery batch watch`` of a batch that has ended."""
    with new_batch_desk(settings) as desk:
        key = desk.submit("b-1", students=[{"student_id": each, "components": {"quiz": 1.0}} for each in STUDENTS])
        desk.compute(key)
        for student, told in (("s-0", "levels: 5 beginner"), ("s-1", None)):
            wanted, by, engine = {Purpose.COHORT_STATISTICS: False}, Author("student", "x"), desk.engine
            change_consent("t-1", student, wanted, by, consents=engine.consents, now=engine.clock())
            shown = desk.run("watch", "b-1").stdout
            assert told in shown if told else "levels" not in shown
