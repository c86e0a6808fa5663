"""Batches of predictions: as many answers of /predictions/next-week, of students who allow it."""

import csv
import io
from typing import Any

import pytest

from app.batches.batch_kinds import NO_CONSENT, PREDICTION_COLUMNS
from app.predictions.current_forecast import current_forecast
from app.roles import Role
from tests.integration.batch_calls import BATCHES, compute, submit
from tests.integration.conftest import FixedTimeApi
from tests.learning_events import activity, completion, quiz

NAMES = [f"s-{number}" for number in range(1, 7)]


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With six students of c-1, each with other answers."""
    for number, name in enumerate(NAMES):
        api.record(
            activity(student_id=name, timestamp="2026-10-10T08:00:00Z"),
            quiz(student_id=name, timestamp="2026-10-20T09:00:00Z", correct_answers=number),
            completion(student_id=name, timestamp="2026-10-21T09:00:00Z"),
        )
    return api


def consent(api: FixedTimeApi, student: str, *, given: bool) -> None:
    answer = api.call(f"/student/{student}/consent", {"predictions": given}, method="PUT")
    assert answer.status_code == 200


def results(api: FixedTimeApi, batch_id: str = "b-1") -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = api.call(f"{BATCHES}/{batch_id}/results", method="GET").get_json()["data"]["results"]
    return told


def state(api: FixedTimeApi) -> dict[str, Any]:
    told: dict[str, Any] = api.call(f"{BATCHES}/b-1", method="GET").get_json()["data"]
    return told


def test_each_result_is_what_next_week_answers(api: FixedTimeApi) -> None:
    """And the summary is that of the predicted scores."""
    submit(api, cohort_id="c-1", compute="prediction")
    compute(api, "b-1")
    for name, result in zip(NAMES, results(api), strict=True):
        current_forecast("t-1", name, using=api.engine.forecasting, now=api.engine.clock())  # no worker runs here
        assert result == api.post("/predictions/next-week", {"student_id": name}).get_json()["data"]
    found = state(api)
    assert (found["compute"], found["status"], found["succeeded"]) == ("prediction", "succeeded", 6)
    mean = sum(each["predicted_score"] for each in results(api)) / 6
    assert found["summary"]["mean"] == pytest.approx(mean, abs=1e-6)


def test_students_without_consent(api: FixedTimeApi) -> None:
    """Have an error, alone; one who withdraws afterwards is not shown any more, in no format."""
    consent(api, "s-2", given=False)
    submit(api, cohort_id="c-1", compute="prediction")
    compute(api, "b-1")
    assert (state(api)["status"], state(api)["failed"]) == ("partly_failed", 1)
    assert [each.get("error") for each in results(api)] == [None, NO_CONSENT, None, None, None, None]
    consent(api, "s-5", given=False)
    assert [each["student_id"] for each in results(api) if "error" in each] == ["s-2", "s-5"]
    for accepted in ("text/csv", "application/x-ndjson"):
        streamed = api.call(f"{BATCHES}/b-1/results", method="GET", headers={"Accept": accepted}).text
        assert streamed.count(NO_CONSENT) == 2
    consent(api, "s-2", given=True)
    assert results(api)[1]["error"] == NO_CONSENT  # it has not been computed


def test_mastery_needs_no_consent(api: FixedTimeApi) -> None:
    """Of any purpose."""
    consent(api, "s-2", given=False)
    submit(api, cohort_id="c-1")
    compute(api, "b-1")
    assert not any("error" in each for each in results(api))


def test_csv(api: FixedTimeApi) -> None:
    """A column for each field."""
    submit(api, students=["s-1"], compute="prediction")
    compute(api, "b-1")
    text = api.call(f"{BATCHES}/b-1/results", method="GET", headers={"Accept": "text/csv"}).text
    (line,) = csv.DictReader(io.StringIO(text))
    assert tuple(line) == PREDICTION_COLUMNS
    assert (line["student_id"], line["date"], line["model"], line["stale"]) == ("s-1", "2026-11-04", "base", "False")


def test_an_earlier_day(api: FixedTimeApi) -> None:
    """What would have been predicted then, from the evidence up to that day."""
    submit(api, students=["s-1"], compute="prediction", as_of="2026-10-20")
    compute(api, "b-1")
    (told,) = results(api)
    assert (told["date"], told["days_of_history"], told["coverage"]) == ("2026-10-27", 11, 0.4)


def test_what_cannot_be_predicted_from(api: FixedTimeApi) -> None:
    """Other weights are refused with the field's name, and components of students are rejected."""
    answer = api.post(BATCHES, {"compute": "prediction", "cohort_id": "c-1", "weights": {"completion": 0.3, "quiz": 0.4}})
    assert (answer.status_code, list(answer.get_json()["error"]["details"])) == (422, ["weights"])
    listed = ["s-1", {"student_id": "s-2", "components": {"quiz": 0.5}}]
    told = submit(api, students=listed, compute="prediction")
    assert (told["total"], [each["index"] for each in told["rejected"]]) == (1, [1])
    assert told["rejected"][0]["reason"].startswith("components: cannot be given for predictions")


def test_a_teacher(api: FixedTimeApi) -> None:
    """Gets those of the own cohort."""
    caller: dict[str, Any] = {"role": Role.TEACHER, "cohorts": ("c-1",)}
    body = {"compute": "prediction", "batch_id": "b-1"}
    assert api.post(BATCHES, body | {"cohort_id": "c-2"}, **caller).status_code == 403
    assert api.post(BATCHES, body | {"cohort_id": "c-1"}, **caller).status_code == 202
