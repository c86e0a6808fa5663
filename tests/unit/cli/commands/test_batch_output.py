"""How batches are displayed."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from app.batches.batch import Batch, BatchOrder, BatchStatus, Rejection, Summary
from app.clock import day_number
from app.mastery.formula import Weights
from cli.commands.batch_output import ending, rejected_lines, still_runs

NOW = datetime(2026, 10, 28, 12, tzinfo=UTC)
LEVELS = {"beginner": 1200, "expert": 0}
SUMMARY = Summary(
    mean=0.5,
    median=0.51,
    standard_deviation=0.2,
    lower_quartile=0.3,
    upper_quartile=0.7,
    levels={"beginner": 1200, "expert": 0},
)


def a_batch(status: BatchStatus, **changes: Any) -> Batch:
    order = BatchOrder(day=day_number(date(2026, 10, 28)), weights=Weights(), owner="admin:operator")
    return Batch(batch_id="b-1", order=order, status=status, created=NOW, **changes)


def test_an_end_has_counts_pace_and_statistics() -> None:
    """The rate is the mean since the start."""
    found = a_batch(
        BatchStatus.PARTLY_FAILED,
        started=NOW,
        finished=NOW + timedelta(seconds=2),
        total=1300,
        succeeded=1200,
        failed=100,
        summary=SUMMARY,
    )
    assert list(ending(found, NOW)) == [
        "batch b-1 partly failed",
        "students: 1,300; 1,200 succeeded, 100 failed",
        "time: 2.0 s, 650 students/s",
        "mastery: mean 0.500, median 0.510, standard deviation 0.200, quartiles 0.300 and 0.700",
        "levels: 1,200 beginner, 0 expert",
    ]


def test_an_end_before_the_students_were_known_has_the_reason() -> None:
    """And no numbers."""
    found = a_batch(BatchStatus.FAILED, reason="it has no students")
    assert list(ending(found, NOW)) == ["batch b-1 failed: it has no students"]


def test_what_was_not_computed_is_counted() -> None:
    """Of a batch that was cancelled."""
    found = a_batch(BatchStatus.CANCELLED, total=300, succeeded=250, reason="it was cancelled")
    assert list(ending(found, NOW))[1] == "students: 300; 250 succeeded, 0 failed, 50 not computed"


def test_who_was_erased_is_counted() -> None:
    """They are neither computed nor missing."""
    found = a_batch(BatchStatus.SUCCEEDED, total=300, succeeded=298, erased=2)
    assert list(ending(found, NOW))[1] == "students: 300; 298 succeeded, 0 failed, 2 erased"


def test_a_batch_that_runs_may_not_know_its_students_yet() -> None:
    """Then their number is not shown."""
    assert "0 of - students are done" in still_runs(a_batch(BatchStatus.QUEUED))


def test_rejected_students_are_shown_by_their_lines() -> None:
    """Also the line of the first of two."""
    rejected = [Rejection(1, "is listed already, at 0"), Rejection(2, "no evidence of such a student")]
    assert list(rejected_lines(rejected, [1, 4, 9])) == [
        "line 4: is listed already, at line 1",
        "line 9: no evidence of such a student",
    ]
