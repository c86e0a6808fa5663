"""POST /analytics/mastery-history: the numbers of queries, for each day of a range."""

import csv
from datetime import date, timedelta
from typing import Any

import pytest

from app.roles import Role
from tests.integration.conftest import FixedTimeApi, details
from tests.learning_events import activity, completion, quality, quiz

PATH = "/analytics/mastery-history"
RANGE = {"student_id": "s-1", "start_date": "2026-10-01", "end_date": "2026-10-28"}
FIRST_RETAINED = "2026-07-31"


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With evidence of s-1 in c-1 from 10-12 on. It is 2026-10-28, a Wednesday."""
    api.record(
        *(activity(timestamp=f"2026-10-{day}T08:00:00Z") for day in (12, 13, 26, 27, 28)),
        completion(timestamp="2026-10-20T09:00:00Z", completed_exercises=2),
        completion(timestamp="2026-10-27T09:00:00Z", completed_exercises=4),
        quiz(timestamp="2026-10-20T09:00:00Z", correct_answers=6),
        quality(timestamp="2026-10-27T09:00:00Z"),
    )
    return api


def data(api: FixedTimeApi, **changes: Any) -> dict[str, Any]:
    answer = api.post(PATH, RANGE | changes)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()["data"]
    return told


def query(api: FixedTimeApi, day: date) -> Any:
    return api.post("/mastery/query", {"student_id": "s-1", "date": day.isoformat()})


def test_each_day_has_the_numbers_of_its_query(api: FixedTimeApi) -> None:
    """Score, level and components. Days that a query does not know are left out."""
    told = {point["period"]: point for point in data(api)["points"]}
    for day in (date(2026, 10, 1) + timedelta(days=ago) for ago in range(28)):
        answer = query(api, day)
        if answer.status_code == 404:
            assert day.isoformat() not in told
            continue
        asked, point = answer.get_json()["data"], told.pop(day.isoformat())
        assert [point[name] for name in ("mean", "min", "max", "last")] == [asked["score"]] * 4
        assert (point["level"], point["components"]) == (asked["level"], asked["components"])
        assert (point["start"], point["end"]) == (day.isoformat(), day.isoformat())
        assert point["days_with_evidence"] == (day.day in {12, 13, 20, 26, 27, 28})
    assert told == {}


@pytest.mark.parametrize("end", [date(2026, 10, 28), date(2026, 10, 24)])
def test_the_summary_is_that_of_the_days(api: FixedTimeApi, end: date) -> None:
    """The trend is the query's on the last day."""
    told = data(api, start_date="2026-10-20", end_date=end.isoformat())
    scores, summary = [point["last"] for point in told["points"]], told["summary"]
    assert (summary["first"], summary["last"]) == (scores[0], scores[-1])
    assert summary["mean"] == pytest.approx(sum(scores) / len(scores), abs=1e-6)
    assert summary["change"] == pytest.approx(scores[-1] - scores[0], abs=1e-9)
    assert summary["trend"] == query(api, end).get_json()["data"]["trend"]
    assert (summary["days_with_evidence"], summary["longest_streak"]) == ((4, 3) if end.day == 28 else (1, 1))


def test_weeks_and_months_are_clipped(api: FixedTimeApi) -> None:
    """To the range, and to the days that are known."""
    weeks = data(api, aggregation="weekly", end_date="2026-10-27")["points"]
    assert [(each["period"], each["start"], each["end"], each["days_with_evidence"]) for each in weeks] == [
        ("2026-W42", "2026-10-12", "2026-10-18", 2),
        ("2026-W43", "2026-10-19", "2026-10-25", 1),
        ("2026-W44", "2026-10-26", "2026-10-27", 2),
    ]
    (month,) = data(api, aggregation="monthly", end_date="2026-10-27")["points"]
    assert (month["period"], month["start"], month["end"]) == ("2026-10", "2026-10-12", "2026-10-27")
    daily = {point["period"]: point for point in data(api)["points"]}
    assert (month["last"], month["components"]) == (weeks[-1]["last"], weeks[-1]["components"])
    assert month["components"] == daily["2026-10-27"]["components"]
    assert month["max"] == max(point["last"] for day, point in daily.items() if day <= "2026-10-27")


def test_the_same_points_as_csv(api: FixedTimeApi) -> None:
    """With a header; nothing is written for what has no evidence. The name of the file does not tell whose it is."""
    points = data(api, aggregation="weekly")["points"]
    answer = api.call(PATH, RANGE | {"aggregation": "weekly"}, headers={"Accept": "text/csv"})
    assert answer.headers["Content-Type"].partition(";")[0] == "text/csv"
    assert answer.headers["Content-Disposition"] == ('attachment; filename="mastery-weekly-2026-10-01-2026-10-28.csv"')
    rows = list(csv.DictReader(answer.text.splitlines()))
    expected = [point | point.pop("components") for point in points]
    assert rows == [{name: "" if value is None else str(value) for name, value in point.items()} for point in expected]
    assert "s-1" not in answer.text


@pytest.mark.parametrize("accept", ["application/json", "*/*", "image/png", "text/csv;q=0.5, application/json"])
def test_json_unless_csv_is_preferred(api: FixedTimeApi, accept: str) -> None:
    assert api.call(PATH, RANGE, headers={"Accept": accept}).headers["Content-Type"] == "application/json"


BEFORE, FUTURE, ORDER = (
    "must lie within the 90 days that are retained",
    "must not be in the future",
    "must not be after end_date",
)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-10-28", "2026-10-27", {"start_date": [ORDER]}),
        ("2026-10-28", "2026-10-29", {"end_date": [FUTURE]}),
        ("2026-07-30", "2026-10-28", {"start_date": [BEFORE]}),
        ("2026-07-30", "2026-10-29", {"start_date": [BEFORE], "end_date": [FUTURE]}),
        ("2026-10-29", "2026-07-30", {"start_date": [FUTURE, ORDER], "end_date": [BEFORE]}),
        ("2026-10-32", "28.10.2026", {"start_date": ["Not a valid date."], "end_date": ["Not a valid date."]}),
    ],
)
def test_each_broken_rule_is_named(api: FixedTimeApi, start: str, end: str, expected: dict[str, list[str]]) -> None:
    """With its field, all of them at once."""
    assert details(api.post(PATH, RANGE | {"start_date": start, "end_date": end})) == expected


def test_both_days_are_needed(api: FixedTimeApi) -> None:
    """And an aggregation that exists."""
    assert details(api.post(PATH, {"student_id": "s-1", "aggregation": "yearly"})).keys() == {
        "start_date",
        "end_date",
        "aggregation",
    }


def test_the_whole_retention(api: FixedTimeApi) -> None:
    """From the first retained day to today; unknown days are in no statistics."""
    told = data(api, start_date=FIRST_RETAINED)
    assert (told["start_date"], told["end_date"], told["cohort_id"]) == (FIRST_RETAINED, "2026-10-28", "c-1")
    assert len(told["points"]) == 17
    assert told["summary"]["first"] == told["points"][0]["last"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"student_id": "s-9"}, "No evidence of such a student."),
        ({"student_id": "s-9", "end_date": "2026-10-11"}, "No evidence of such a student."),
        ({"end_date": "2026-10-11"}, "No evidence of this student up to end_date."),
    ],
)
@pytest.mark.parametrize("role", [Role.ADMIN, Role.STUDENT])
def test_without_evidence_up_to_the_end(api: FixedTimeApi, changes: dict[str, Any], message: str, role: Role) -> None:
    """404, as a query for that day. The message says whether there is later evidence."""
    body = RANGE | changes
    answer = api.post(PATH, body, role=role, subject=body["student_id"])
    assert (answer.status_code, answer.get_json()["error"]["message"]) == (404, message)


def test_students_get_the_answer_of_an_admin(api: FixedTimeApi) -> None:
    """Although their record is read together with the count of their requests."""
    assert api.post(PATH, RANGE, role=Role.STUDENT, subject="s-1").get_json()["data"] == data(api)


def test_a_range_of_one_day(api: FixedTimeApi) -> None:
    """It has one point and no volatility, and the trend of the days before."""
    told = data(api, start_date="2026-10-28")
    assert [point["period"] for point in told["points"]] == ["2026-10-28"]
    assert (told["summary"]["volatility"], told["summary"]["trend"]) == (None, "improving")
