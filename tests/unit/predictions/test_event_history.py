"""Daily facts from observations, as the engine would have stored them."""

import random

import numpy as np
import pytest

from app.clock import Day
from app.mastery.evidence import ACTIVITY, COMPLETION, QUALITY, QUIZ, Observation
from app.predictions.event_history import Cohort, event_histories


def observed(
    number: int, day: Day, kind: int, first: int = 0, second: int = 0, *, stamp: int | None = None, cohort: str = "c"
) -> Observation:
    """An observation with its own event_id."""
    name = number.to_bytes(16, "big")
    return name[-8:], day, kind, first, second, day * 1000 if stamp is None else stamp, name, cohort


OBSERVATIONS = [
    observed(1, 10, ACTIVITY),
    observed(2, 10, QUIZ, 3, 5),
    observed(3, 10, QUIZ, 1, 5),
    observed(4, 12, QUALITY, 700_000, 1),
    observed(5, 12, COMPLETION, 2, 4, stamp=12_002),
    observed(6, 12, COMPLETION, 1, 4, stamp=12_001),
    observed(7, 12, COMPLETION, 3, 4, stamp=12_002),  # the same moment: the greater event_id counts
]


@pytest.mark.parametrize("seed", range(5))
def test_order_and_repetition_change_nothing(seed: int) -> None:
    """Each event counts once; a day's latest completion is that day's."""
    events = OBSERVATIONS + OBSERVATIONS[:4]
    random.Random(seed).shuffle(events)
    history = event_histories([("t", "s", each) for each in events])[Cohort("t", "c")]
    assert (history.students, history.days, history.last) == (1, 3, 12)
    facts = {name: values[0].tolist() for name, values in history.facts.items()}
    assert facts == {
        "correct": [4, 0, 0],
        "asked": [10, 0, 0],
        "quality_millionths": [0, 0, 700_000],
        "submissions": [0, 0, 1],
        "active": [1, 0, 0],
        "completed": [0, 0, 3],
        "total": [0, 0, 4],
    }


def test_a_student_is_in_the_cohort_of_the_latest_event() -> None:
    """An event without a cohort changes nothing; a student who never had one is in the cohort without a name."""
    moves = [
        observed(1, 10, ACTIVITY, cohort="old"),
        observed(2, 11, ACTIVITY, cohort="new"),
        observed(3, 12, ACTIVITY, cohort=""),
    ]
    events = [("t", "a", each) for each in moves] + [("t", "b", observed(4, 10, ACTIVITY, cohort=""))]
    assert {str(cohort): history.students for cohort, history in event_histories(events).items()} == {"t/": 1, "t/new": 1}


def test_students_of_the_same_id_in_two_tenants_are_two() -> None:
    """Tenants never mix."""
    events = [("t", "s", observed(1, 10, ACTIVITY)), ("u", "s", observed(2, 11, QUIZ, 1, 2))]
    found = event_histories(events)
    assert np.array_equal(found[Cohort("t", "c")].facts["active"], [[1, 0]])
    assert np.array_equal(found[Cohort("u", "c")].facts["asked"], [[0, 2]])


def test_no_events_no_cohorts() -> None:
    """An empty file has no history."""
    assert event_histories([]) == {}
