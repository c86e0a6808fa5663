"""What is stored of a result gives the answer of a query, and a line of CSV."""

from typing import Any

from msgspec import msgpack, to_builtins
from msgspec.structs import replace

from app.batches.batch import BatchOrder, Item, Kind
from app.batches.batch_kinds import (
    KINDS,
    MASTERY_COLUMNS,
    PREDICTION_COLUMNS,
    Row,
    compute_mastery,
    compute_prediction,
    mastery_answer,
    mastery_line,
    prediction_answer,
    prediction_line,
)
from app.clock import Day, day_number
from app.mastery.fact_store import StudentRecord
from app.mastery.facts import DayFacts
from app.mastery.formula import Components, Weights
from app.mastery.query_mastery import standing
from app.predictions.forecast import Forecast
from app.predictions.forecast_model import BASE_MODEL, base_intervals
from app.predictions.make_forecast import Means, make_forecast
from app.predictions.predict_next_week import next_week
from tests.conftest import NOW

TODAY = day_number(NOW)
WEIGHTS = Weights(0.1, 0.2, 0.3, 0.4)
ORDER = BatchOrder(day=TODAY, weights=WEIGHTS, owner="admin:a-1")
RECORD = StudentRecord("c-1", {TODAY - 3: DayFacts(correct=1, asked=3), TODAY: DayFacts(completed=2, total=7, active=1)})


def forecast(record: StudentRecord, day: Day) -> Forecast:
    return make_forecast(record, day, means=Means(BASE_MODEL, base_intervals(), 90), only_week=True)


def test_the_answer_is_that_of_a_query() -> None:
    """Every number, though the row has neither breakdown nor level nor coverage."""
    row = compute_mastery(ORDER, Item("s-1"), RECORD, forecast)
    assert mastery_answer(ORDER, row) == to_builtins(standing("s-1", RECORD, TODAY, WEIGHTS))


def test_given_components_replace_the_facts() -> None:
    """There is no trend then, and no day."""
    row = compute_mastery(ORDER, Item("s-1", Components(quiz=0.5, consistency=1.0)), None, forecast)
    answer = mastery_answer(ORDER, row)
    assert (answer["score"], answer["coverage"], answer["student_id"]) == (0.5, 0.6, "s-1")
    assert not {"trend", "date", "historical_average", "cohort_id"} & answer.keys()


def test_a_student_without_facts_fails() -> None:
    """With a reason, and without numbers."""
    row = compute_mastery(ORDER, Item("s-1"), None, forecast)
    assert row == Row("s-1", "no evidence of such a student")


def test_lines_have_a_value_for_each_column() -> None:
    """Empty where there is no evidence, no history or no result."""
    lines = [
        mastery_line(ORDER, compute_mastery(ORDER, item, record, forecast))
        for item, record in [(Item("s-1"), RECORD), (Item("s-2", Components(quiz=0.5)), None), (Item("s-3"), None)]
    ]
    first, second, third = (dict(zip(MASTERY_COLUMNS, line, strict=True)) for line in lines)
    assert (first["score"], first["quality"], first["date"], first["error"]) == (0.123810, None, "2026-10-28", None)
    assert (second["score"], second["trend"], second["date"]) == (0.1, None, None)
    assert {name for name, value in third.items() if value is not None} == {"student_id", "error"}


def test_every_kind_is_in_the_table() -> None:
    """A new kind needs its functions."""
    assert set(KINDS) == set(Kind)


def test_the_answer_is_that_of_next_week() -> None:
    """With the threshold of the order; the row's score is the predicted one, for the summary."""
    strict = replace(ORDER, threshold=0.9)
    row = compute_prediction(strict, Item("s-1"), RECORD, forecast)
    told = next_week("s-1", forecast(RECORD, TODAY), 0.9)
    assert prediction_answer(strict, row) == to_builtins(told)
    assert (row.score, row.trend, row.cohort_id) == (told.predicted_score, told.trend, "c-1")
    assert compute_prediction(ORDER, Item("s-2"), None, forecast) == Row("s-2", "no evidence of such a student")


def test_lines_of_predictions() -> None:
    """Ends of the interval, codes of reasons and warnings; empty without a result."""
    row = compute_prediction(ORDER, Item("s-1"), RECORD, forecast)
    first: dict[str, Any] = dict(zip(PREDICTION_COLUMNS, prediction_line(ORDER, row), strict=True))
    assert first["lower"] <= first["predicted_score"] <= first["upper"]
    assert (first["date"], first["reasons"], first["warnings"]) == (
        "2026-11-04",
        "missed_exercises low_quiz no_evidence",
        "no_learned_model",
    )
    second = dict(zip(PREDICTION_COLUMNS, prediction_line(ORDER, Row("s-2", "no")), strict=True))
    assert {name for name, value in second.items() if value is not None} == {"student_id", "error"}


def test_a_stored_prediction_is_small() -> None:
    """A million of them fit into half a gigabyte."""
    row = compute_prediction(ORDER, Item("student-000001"), RECORD, forecast)
    assert len(msgpack.encode(row)) < 350
    assert msgpack.decode(msgpack.encode(row), type=Row) == row
