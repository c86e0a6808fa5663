"""POST /recommendations/learning-path: a plan, which holds when a student follows it."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from tests.integration.conftest import FixedTimeApi, api_with
from tests.learning_events import activity, completion, quality, quiz

STUDENT = {"student_id": "s-1"}


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With the facts of s-1 in c-1: 4 of 10 exercises, 5 of 10 answers, no submission, 3 active days. It is 2026-10-28."""
    api.record(
        *(activity(timestamp=f"2026-10-{day}T08:00:00Z") for day in (26, 27, 28)),
        completion(timestamp="2026-10-20T09:00:00Z", completed_exercises=4, total_exercises=10),
        quiz(timestamp="2026-10-20T09:00:00Z", correct_answers=5),
    )
    return api


def plan(api: FixedTimeApi, **body: Any) -> dict[str, Any]:
    answer = api.post("/recommendations/learning-path", STUDENT | body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()["data"]
    return told


def test_a_learning_path(api: FixedTimeApi) -> None:
    """From 0.331429 to the next level, developing: today's 3 active days become 4, and two exercises bring 0.08.

    0.4 · 0.6 + 0.3 · 0.5 + 0.1 · 4/14 = 0.418571.
    """
    told = plan(api)
    steps, schedule = told.pop("steps"), told.pop("schedule")
    assert len(told.pop("assumptions")) == 4
    assert told == {
        "student_id": "s-1",
        "date": "2026-10-28",
        "score": 0.331429,
        "level": "beginner",
        "minutes_per_day": 60,
        "target_level": "developing",
        "target_score": 0.4,
        "reaches_target": True,
        "shortfall": None,
        "postponed": [],
        "expected_score": 0.418571,
        "expected_level": "developing",
        "expected_date": "2026-10-29",
        "score_without_plan": 0.331429,
        "total_minutes": 55,
        "message": "With this plan the target is reached on 2026-10-29.",
    }
    assert [(step["component"], step["amount"], step["minutes"], step["expected_score"]) for step in steps] == [
        ("consistency", 1, 15, 0.338571),
        ("completion", 2, 40, 0.418571),
    ]
    tasks = [
        {"step": 1, "component": "consistency", "minutes": 15, "finished": 1},
        {"step": 2, "component": "completion", "minutes": 40, "finished": 2},
    ]
    assert schedule == [{"date": "2026-10-29", "minutes": 55, "tasks": tasks, "expected_score": 0.418571}]


def test_a_path_in_less_time_is_longer(api: FixedTimeApi) -> None:
    """``minutes_per_day`` is the most that a day has, and ``target_level`` the end."""
    slow, fast = (plan(api, target_level="expert", minutes_per_day=minutes) for minutes in (15, 120))
    for told, minutes in ((slow, 15), (fast, 120)):
        assert told["reaches_target"]
        assert told["expected_score"] >= 0.9
        assert max(day["minutes"] for day in told["schedule"]) <= minutes
    assert slow["expected_date"] > fast["expected_date"]


def events_of(day: dict[str, Any], done: dict[str, int]) -> list[dict[str, Any]]:
    """The events that a day of a plan leaves; ``done`` counts exercises from day to day."""
    at = {"timestamp": f"{day['date']}T09:00:00Z"}
    events = [activity(**at)]
    for task in day["tasks"]:
        if task["component"] == "completion" and task["finished"]:
            done["exercises"] += task["finished"]
            events.append(completion(**at, completed_exercises=done["exercises"], total_exercises=10))
        if task["component"] == "quiz" and task["finished"]:
            asked = task["finished"]
            events.append(quiz(**at, total_questions=asked, correct_answers=asked * 9 // 10))
        if task["component"] == "quality":
            scores = dict.fromkeys(("code_quality_score", "correctness_score", "efficiency_score"), 0.9)
            events += [quality(**at, **scores) for _ in range(task["finished"])]
    return events


def test_a_student_who_follows_the_path_is_where_it_said(api: FixedTimeApi) -> None:
    """Its days as events, recorded by the engine: each evening's query has the expected mastery."""
    api.record(quiz(timestamp="2026-08-03T09:00:00Z", correct_answers=10))  # leaves on 2026-11-01
    told = plan(api, target_level="proficient", minutes_per_day=30)
    assert told["reaches_target"]
    assert told["expected_date"] > "2026-11-01"
    done = {"exercises": 4}
    for day in told["schedule"]:
        evening = datetime.combine(date.fromisoformat(day["date"]), time(20), UTC)
        later = FixedTimeApi(replace(api.engine, clock=lambda evening=evening: evening))  # type: ignore[misc]
        later.record(*events_of(day, done))
        standing = later.post("/mastery/query", STUDENT).get_json()["data"]
        later.event_log.close()
        assert standing["score"] == day["expected_score"]
    assert (standing["score"], standing["level"]) == (told["expected_score"], "proficient")


def test_what_leaves_the_window_is_missing(api: FixedTimeApi) -> None:
    """The only completion expires tomorrow: without work, mastery falls; the plan begins from there."""
    api.record(
        *(
            event | {"student_id": "s-2"}
            for event in (
                completion(timestamp="2026-07-31T09:00:00Z", completed_exercises=5),
                quiz(timestamp="2026-10-20T09:00:00Z", correct_answers=6),
            )
        )
    )
    told = plan(api, student_id="s-2", target_level="competent")
    assert (told["score"], told["score_without_plan"]) == (0.58, 0.18)
    assert [step["component"] for step in told["steps"]][:2] == ["consistency", "completion"]
    assert told["reaches_target"]


def test_a_target_that_is_reached_already(api: FixedTimeApi) -> None:
    """An empty plan, as of today."""
    told = plan(api, target_level="beginner")
    assert (told["reaches_target"], told["steps"], told["schedule"], told["assumptions"]) == (True, [], [], [])
    assert (told["expected_date"], told["expected_score"]) == ("2026-10-28", told["score"])
    assert told["message"] == "The target is reached already."


def test_a_target_that_is_not_reached(api: FixedTimeApi) -> None:
    """The answer says why, and how far the plan gets: with more time a day it could, or not at all."""
    with api_with(api.engine.settings, retention_days=400) as longer:
        longer.record(quiz(student_id="s-2", timestamp="2026-10-28T09:00:00Z", total_questions=700, correct_answers=0))
        told = plan(longer, student_id="s-2", target_level="expert", minutes_per_day=15)
        assert (told["reaches_target"], told["shortfall"]) == (False, "more_minutes")
        assert told["score"] < told["expected_score"] < 0.9
        assert told["expected_score"] == told["steps"][-1]["expected_score"]
        assert "With more time a day the target can be reached." in told["message"]
        longer.record(quiz(student_id="s-3", timestamp="2026-10-28T09:00:00Z", total_questions=10**6, correct_answers=0))
        told = plan(longer, student_id="s-3", target_level="expert", minutes_per_day=480)
        longer.event_log.close()
    assert (told["reaches_target"], told["shortfall"]) == (False, "out_of_reach")
    assert told["message"].startswith("The target cannot be reached within 90 days: the plan gets to 0.")


def test_the_plan_begins_tomorrow(api: FixedTimeApi) -> None:
    """However late it is today."""
    for path in ("expert", "competent"):
        first = plan(api, target_level=path)["schedule"][0]["date"]
        assert first == (api.engine.clock().date() + timedelta(days=1)).isoformat()
