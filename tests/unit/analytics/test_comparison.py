"""What a comparison says, and what it withholds."""

from datetime import date

import numpy as np
import pytest

from app.analytics.comparison import (
    IN_ANOTHER_COHORT,
    IN_NO_COHORT,
    PUBLISHED_ON,
    ComparedStudent,
    Comparison,
    Extent,
    MetricComparison,
    comparison,
)
from app.analytics.distribution import Distribution
from app.clock import day_number
from app.errors import NotFound
from app.mastery.rankings import Metric, Ranking
from tests.rankings import ranking_of

TODAY = day_number(date(2026, 10, 28))
OF_A_THIRD = [100_001, 200_000, 333_333, 400_000, 900_000]


def compared(
    values: list[int] = OF_A_THIRD,
    value: int | None = 333_333,
    *,
    own: str | None = "c-1",
    day: int = TODAY,
    published: bool = False,
) -> Comparison:
    student = ComparedStudent("s-1", own, {Metric.MASTERY: value})
    rankings = {Metric.MASTERY: ranking_of(np.array(values, np.uint32), value)}
    return comparison(student, "c-1", rankings, day, today=TODAY, published=published)


def test_a_member() -> None:
    """The score, the statistics and the place."""
    assert compared() == Comparison(
        student_id="s-1",
        student_cohort_id="c-1",
        cohort_id="c-1",
        is_member=True,
        date=date(2026, 10, 28),
        published=False,
        metrics={
            Metric.MASTERY: MetricComparison(
                0.333333, Distribution(5, 0.386667, 0.333333, 0.2, 0.4, 0.276968), percentile=50.0, rank=3, total=5
            )
        },
        note=None,
    )


def test_published_statistics_are_rounded() -> None:
    """The student's own score is not."""
    found = compared(published=True)
    assert found.published
    assert found.metrics[Metric.MASTERY] == MetricComparison(
        0.333333, Distribution(5, 0.387, 0.333, 0.2, 0.4, 0.277), percentile=50.0, rank=3, total=5
    )


@pytest.mark.parametrize(("own", "note"), [(None, IN_NO_COHORT), ("c-2", IN_ANOTHER_COHORT)])
def test_who_is_not_in_the_cohort(own: str | None, note: str) -> None:
    """Is compared from outside, and the answer says so."""
    found = compared(own=own)
    assert (found.student_cohort_id, found.is_member, found.note) == (own, False, note)
    assert found.metrics[Metric.MASTERY].rank == 3


@pytest.mark.parametrize(
    ("published", "note"),
    [
        (False, "Fewer than 5 students of this cohort can be compared in: mastery."),
        (True, f"No statistics are published of: mastery. {PUBLISHED_ON.format('2026-10-28')}"),
    ],
)
def test_fewer_than_five(note: str, *, published: bool) -> None:
    """There are no statistics, and no place; the score is the student's own."""
    found = compared(OF_A_THIRD[:4], published=published)
    assert found.metrics == {Metric.MASTERY: MetricComparison(0.333333, None, None, None, None)}
    assert found.note == note


def test_without_evidence() -> None:
    """There are statistics, but no place."""
    (metric,) = compared(value=None).metrics.values()
    assert metric.statistics is not None
    assert (metric.score, metric.percentile, metric.rank, metric.total) == (None, None, None, None)


def test_several_notes() -> None:
    """From outside, two components of too few students, and an earlier day."""
    empty = Ranking(0, 0, 0)
    rankings = {Metric.MASTERY: ranking_of(np.array(OF_A_THIRD, np.uint32)), Metric.QUIZ: empty, Metric.QUALITY: empty}
    student = ComparedStudent("s-1", None, {})
    assert comparison(student, "c-1", rankings, TODAY - 1, today=TODAY, published=False).note == (
        "The events of this student name no cohort: the scores are compared from outside. "
        "Fewer than 5 students of this cohort can be compared in: quiz, quality. "
        "The refresh after midnight has not ended: scores may still be of 2026-10-27."
    )


@pytest.mark.parametrize("ago", [0, 2])
def test_when_the_statistics_were_published(ago: int) -> None:
    """Is always in the note, since the student's own scores are of now."""
    found = compared(day=TODAY - ago, published=True)
    day = date(2026, 10, 28 - ago)
    assert found.date == day
    assert found.note == f"The student's present scores are compared with those that were published on {day}."


def test_the_cohort_to_compare() -> None:
    """The wanted one, else the student's own; without either there is none."""
    member, outsider = ComparedStudent("s-1", "c-1", {}), ComparedStudent("s-1", None, {})
    assert [member.cohort_to_compare(wanted) for wanted in ("c-2", None)] == ["c-2", "c-1"]
    assert outsider.cohort_to_compare("c-2") == "c-2"
    with pytest.raises(NotFound, match="the events of this student name no cohort"):
        outsider.cohort_to_compare(None)


def test_the_metrics() -> None:
    assert Extent.OVERALL.metrics == (Metric.MASTERY,)
    assert Extent.BY_COMPONENT.metrics == tuple(Metric)
