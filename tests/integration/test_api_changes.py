"""POST /analytics/changes: the scores of two queries, and parts that add up to their difference."""

from typing import Any

import pytest

from tests.integration.conftest import FixedTimeApi, details
from tests.learning_events import activity, completion, quality, quiz

PATH = "/analytics/changes"


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With evidence of s-1 in c-1 from 10-12 on. It is 2026-10-28."""
    api.record(
        *(activity(timestamp=f"2026-10-{day}T08:00:00Z") for day in (12, 13, 26, 27, 28)),
        completion(timestamp="2026-10-20T09:00:00Z", completed_exercises=2),
        completion(timestamp="2026-10-27T09:00:00Z", completed_exercises=4),
        quiz(timestamp="2026-10-20T09:00:00Z", correct_answers=6),
        quiz(timestamp="2026-10-27T09:00:00Z", correct_answers=9),
        quality(timestamp="2026-10-27T09:00:00Z"),
    )
    return api


def data(api: FixedTimeApi, since: str) -> dict[str, Any]:
    answer = api.post(PATH, {"student_id": "s-1", "since": since})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()["data"]
    return told


def query(api: FixedTimeApi, day: str) -> dict[str, Any]:
    told: dict[str, Any] = api.post("/mastery/query", {"student_id": "s-1", "date": day}).get_json()["data"]
    return told


@pytest.mark.parametrize("since", ["2026-10-12", "2026-10-19", "2026-10-20", "2026-10-27", "2026-10-28"])
def test_both_scores_are_those_of_queries(api: FixedTimeApi, since: str) -> None:
    """With their components; the parts add up to the difference."""
    told, then, now = data(api, since), query(api, since), query(api, "2026-10-28")
    assert (told["student_id"], told["since"], told["date"], told["known_since"]) == ("s-1", since, "2026-10-28", "2026-10-12")
    assert (told["score_then"], told["score_now"]) == (then["score"], now["score"])
    for name, change in told["components"].items():
        assert (change["then"], change["now"]) == (then["components"][name], now["components"][name])
        assert change["change"] == pytest.approx(sum(part["amount"] for part in change["parts"]), abs=1e-9)
    changes = [change["change"] for change in told["components"].values()]
    assert told["difference"] == pytest.approx(sum(changes), abs=1e-9) == pytest.approx(now["score"] - then["score"], abs=1e-9)


def test_what_has_happened_since(api: FixedTimeApi) -> None:
    """In numbers and in words."""
    told = data(api, "2026-10-20")
    assert told["new_evidence"] == {
        "questions": 10,
        "correct_answers": 9,
        "submissions": 1,
        "mean_quality": 0.8,
        "exercises_then": {"completed": 2, "total": 5, "date": "2026-10-20"},
        "exercises_now": {"completed": 4, "total": 5, "date": "2026-10-27"},
        "active_days_came": 3,
        "active_days_left": 2,
    }
    (part,) = told["components"]["quiz"]["parts"]
    expected = {"cause": "new_events", "amount": 0.045, "text": "9 of 10 new quiz questions were answered correctly."}
    assert part == expected


def test_no_evidence_up_to_that_day(api: FixedTimeApi) -> None:
    """A query answers 404 then; here the score counts as 0, and ``known_since`` says why."""
    told = data(api, "2026-10-11")
    assert (told["score_then"], told["difference"], told["known_since"]) == (0.0, told["score_now"], "2026-10-12")
    assert {change["then"] for change in told["components"].values()} == {None}


def test_without_evidence_it_is_unknown(api: FixedTimeApi) -> None:
    """404, for a student without any."""
    assert api.post(PATH, {"student_id": "s-9", "since": "2026-10-20"}).status_code == 404


@pytest.mark.parametrize(
    ("since", "reason"),
    [
        ("2026-10-29", "must not be in the future"),
        ("2026-07-30", "must lie within the 90 days that are retained"),
        ("yesterday", "Not a valid date."),
    ],
)
def test_days_that_cannot_be_compared(api: FixedTimeApi, since: str, reason: str) -> None:
    """422 names the field."""
    assert details(api.post(PATH, {"student_id": "s-1", "since": since})) == {"since": [reason]}


def test_the_first_retained_day_can_be_compared(api: FixedTimeApi) -> None:
    assert data(api, "2026-07-31")["score_then"] == 0.0
