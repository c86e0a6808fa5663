"""POST /analytics/compare by students: their present scores, among those that were published for their cohort."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.analytics.publish_statistics import publish_statistics
from app.clock import day_number
from app.roles import Role
from tests.conftest import NOW
from tests.integration.comparisons import SELF, allow, compare, record_classroom, refusal, told
from tests.integration.conftest import FixedTimeApi
from tests.learning_events import completion, quiz

NOT_PUBLISHED = (
    404,
    "NOT_FOUND",
    "No statistics of this cohort are published at present; they are published once a day, of at least 5 students.",
)
OF_THE_28TH = "The student's present scores are compared with those that were published on 2026-10-28."


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With a classroom. It is 2026-10-28."""
    record_classroom(api)
    return api


def publish(api: FixedTimeApi) -> None:
    """Publish statistics of all cohorts, as a worker does after midnight."""
    engine = api.engine
    today = day_number(engine.clock())
    list(publish_statistics("t-1", stores=engine.mastery, published=engine.published, today=today))


def test_nothing_is_published_yet(api: FixedTimeApi) -> None:
    """Students get no live statistics."""
    assert refusal(compare(api, caller=SELF)) == refusal(compare(api, caller=SELF, cohort_id="c-1")) == NOT_PUBLISHED


def test_a_student_and_what_is_published(api: FixedTimeApi) -> None:
    """The same as for teachers, rounded to three decimals; the place is that of the score."""
    publish(api)
    live, published = told(api), told(api, caller=SELF)
    assert published == told(api, caller=SELF, cohort_id="c-1")
    assert published["metrics"]["mastery"]["statistics"] == {
        "students": 6,
        "mean": 0.12,
        "median": 0.09,
        "lower_quartile": 0.06,
        "upper_quartile": 0.188,
        "standard_deviation": 0.079,
    }
    for found in (live, published):
        del found["metrics"]["mastery"]["statistics"], found["published"]
    assert (live.pop("note"), published.pop("note")) == (None, OF_THE_28TH)
    assert published == live


def test_the_present_score_among_published_ones(api: FixedTimeApi) -> None:
    """What comes during the day changes the student's own score and place, and nothing else."""
    publish(api)
    before = told(api, caller=SELF)["metrics"]["mastery"]
    api.record(*(completion(student_id=student, completed_exercises=1, total_exercises=1) for student in ("s-1", "s-2", "s-3")))
    after = told(api, caller=SELF)["metrics"]["mastery"]
    assert (after["score"], after["rank"], after["percentile"]) == (0.46, 1, 100.0)
    assert after["statistics"] == before["statistics"]
    assert told(api)["metrics"]["mastery"]["statistics"]["mean"] == 0.32


def test_a_newcomer_below_all_published_scores(api: FixedTimeApi) -> None:
    """Is not among them, so the rank is one more than their number."""
    publish(api)
    api.record(quiz(student_id="s-new", correct_answers=0))
    found = told(api, "s-new", {"role": Role.STUDENT, "subject": "s-new"})
    assert (found["is_member"], found["metrics"]["mastery"]["rank"], found["metrics"]["mastery"]["total"]) == (True, 7, 6)


def test_components_that_are_not_published(api: FixedTimeApi) -> None:
    """The note says which; mastery is there."""
    api.record(completion(student_id="s-1", completed_exercises=1, total_exercises=2))
    publish(api)
    found = told(api, caller=SELF, metric="by_component")
    assert found["note"] == f"No statistics are published of: completion, quiz, quality, consistency. {OF_THE_28TH}"
    assert [name for name, each in found["metrics"].items() if each["statistics"]] == ["mastery"]
    assert found["metrics"]["completion"]["score"] == 0.5


def test_components_that_are_published(api: FixedTimeApi) -> None:
    """Those of which five students or nobody have evidence do not hide the others."""
    publish(api)
    found = told(api, caller=SELF, metric="by_component")
    of_quiz = found["metrics"]["quiz"]
    assert (of_quiz["score"], of_quiz["percentile"], of_quiz["rank"], of_quiz["total"]) == (0.2, 33.3333, 4, 6)
    assert of_quiz["statistics"]["mean"] == 0.4
    assert found["note"] == f"No statistics are published of: completion, quality, consistency. {OF_THE_28TH}"


def test_a_withdrawal_withholds_what_is_published(api: FixedTimeApi) -> None:
    """At once, with the same message as before anything is published; who withdraws is not compared at all."""
    publish(api)
    allow(api, "s-5", given=False)
    assert refusal(compare(api, caller=SELF)) == NOT_PUBLISHED
    assert refusal(compare(api, "s-5", {"role": Role.STUDENT, "subject": "s-5"}))[:2] == (403, "CONSENT_WITHDRAWN")


def test_what_was_published_on_an_earlier_day(api: FixedTimeApi) -> None:
    """Has its day, and a note."""
    publish(api)
    tomorrow = NOW + timedelta(days=1)
    found = told(FixedTimeApi(replace(api.engine, clock=lambda: tomorrow)), caller=SELF)
    assert (found["date"], found["published"]) == ("2026-10-28", True)
    assert found["note"] == OF_THE_28TH


def test_students_of_other_cohorts_and_tenants(api: FixedTimeApi) -> None:
    """What is published of one cohort is not shown to the students of another, nor of another tenant's of this name."""
    publish(api)
    assert refusal(compare(api, "s-20", {"role": Role.STUDENT, "subject": "s-20"}))[:2] == (404, "NOT_FOUND")
    api.record(quiz(tenant_id="t-2", student_id="s-1", correct_answers=10))
    assert refusal(compare(api, caller=SELF | {"tenant": "t-2"}))[:2] == (404, "NOT_FOUND")
