"""What is stored of a result gives the answer of a query, and a line of CSV."""

from msgspec import to_builtins

from app.batches.batch import BatchOrder, Item, Kind
from app.batches.batch_kinds import KINDS, MASTERY_COLUMNS, Row, compute_mastery, mastery_answer, mastery_line
from app.clock import day_number
from app.mastery.fact_store import StudentRecord
from app.mastery.facts import DayFacts
from app.mastery.formula import Components, Weights
from app.mastery.query_mastery import standing
from tests.conftest import NOW

TODAY = day_number(NOW)
WEIGHTS = Weights(0.1, 0.2, 0.3, 0.4)
ORDER = BatchOrder(day=TODAY, weights=WEIGHTS, owner="admin:a-1")
RECORD = StudentRecord("c-1", {TODAY - 3: DayFacts(correct=1, asked=3), TODAY: DayFacts(completed=2, total=7, active=1)})


def test_the_answer_is_that_of_a_query() -> None:
    """Every number, though the row has neither breakdown nor level nor coverage."""
    row = compute_mastery(ORDER, Item("s-1"), RECORD)
    assert mastery_answer(ORDER, row) == to_builtins(standing("s-1", RECORD, TODAY, WEIGHTS))


def test_given_components_replace_the_facts() -> None:
    """There is no trend then, and no day."""
    row = compute_mastery(ORDER, Item("s-1", Components(quiz=0.5, consistency=1.0)), None)
    answer = mastery_answer(ORDER, row)
    assert (answer["score"], answer["coverage"], answer["student_id"]) == (0.5, 0.6, "s-1")
    assert not {"trend", "date", "historical_average", "cohort_id"} & answer.keys()


def test_a_student_without_facts_fails() -> None:
    """With a reason, and without numbers."""
    row = compute_mastery(ORDER, Item("s-1"), None)
    assert row == Row("s-1", "no evidence of such a student")


def test_lines_have_a_value_for_each_column() -> None:
    """Empty where there is no evidence, no history or no result."""
    lines = [
        mastery_line(ORDER, compute_mastery(ORDER, item, record))
        for item, record in [(Item("s-1"), RECORD), (Item("s-2", Components(quiz=0.5)), None), (Item("s-3"), None)]
    ]
    first, second, third = (dict(zip(MASTERY_COLUMNS, line, strict=True)) for line in lines)
    assert (first["score"], first["quality"], first["date"], first["error"]) == (0.123810, None, "2026-10-28", None)
    assert (second["score"], second["trend"], second["date"]) == (0.1, None, None)
    assert {name for name, value in third.items() if value is not None} == {"student_id", "error"}


def test_every_kind_is_in_the_table() -> None:
    """A new kind needs its functions."""
    assert set(KINDS) == set(Kind)
