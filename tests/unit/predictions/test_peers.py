"""What the students of a cohort did lately, by hand."""

import numpy as np
import pytest

from app.mastery.facts import DayFacts
from app.predictions.daily_history import daily_history
from app.predictions.peers import FEWEST_PEERS, MOST_EXERCISES, Peers, peer_columns, peers

DAY = 40
ACTIVE = DayFacts(active=1)


def done(total: int) -> dict[int, DayFacts]:
    """A student who was active on the day, and whose latest completion, five days before, is of this many exercises."""
    return {DAY - 5: DayFacts(completed=1, total=total), DAY: ACTIVE}


def cohort_on(day: int, students: list[dict[int, DayFacts]], retention: int = 90) -> Peers | None:
    (found,) = peers(daily_history(students, 0, DAY + 20), retention, np.array([day]))
    return found


def ahead_of(total: int, cohort: Peers | None) -> float:
    return float(peer_columns([cohort], np.array([[total]]))["peers_ahead"][0, 0])


def test_shares_are_of_the_live_students() -> None:
    """Whoever was not active for fourteen days counts neither among those who did something nor among all."""
    students: list[dict[int, DayFacts]] = [
        *[{DAY: ACTIVE}] * 5,
        *[{DAY - 7: ACTIVE, DAY - 2: DayFacts(asked=3)}] * 4,  # active eight days ago, that day included
        {DAY - 13: ACTIVE, DAY - 6: DayFacts(submissions=1), DAY - 3: DayFacts(completed=0, total=9)},
        *[{DAY - 14: ACTIVE, DAY: DayFacts(asked=1, submissions=1, completed=1, total=1)}] * 7,  # not live
    ]
    found = cohort_on(DAY, students)
    assert found is not None
    assert found.shares == {
        "active_7": 0.5,
        "total_3": 0.0,
        "total_7": 0.1,
        "total_14": 0.1,
        "asked_3": 0.4,
        "asked_7": 0.4,
        "asked_14": 0.4,
        "submissions_3": 0.0,
        "submissions_7": 0.1,
    }


@pytest.mark.parametrize("number", [0, 1, FEWEST_PEERS - 1, FEWEST_PEERS])
def test_few_live_students_are_no_cohort(number: int) -> None:
    """Shares of fewer than ten would say much about each; those who are not live do not help."""
    students = [{DAY: ACTIVE}] * number + [{DAY - 14: ACTIVE}] * 20
    assert (cohort_on(DAY, students) is None) == (number < FEWEST_PEERS)


def test_students_who_are_ahead() -> None:
    """The share of live students with more exercises than this one; no completion is none."""
    found = cohort_on(DAY, [*[done(4)] * 5, *[done(8)] * 3, *[{DAY: ACTIVE}] * 2])
    assert found is not None
    assert found.totals == pytest.approx([0.2, 0.2, 0.2, 0.2, 0.7, 0.7, 0.7, 0.7, 1.0])
    expected = {0: 0.8, 3: 0.8, 4: 0.3, 7: 0.3, 8: 0.0, 9: 0.0, 10_000: 0.0}
    assert {total: ahead_of(total, found) for total in expected} == pytest.approx(expected)


def test_a_completion_that_has_left_the_window_does_not_count() -> None:
    """Seven days later it is twelve days old: still retained for fourteen days, and not for ten."""
    students = [done(4) | {DAY + 7: ACTIVE}] * FEWEST_PEERS
    kept, expired = cohort_on(DAY + 7, students), cohort_on(DAY + 7, students, retention=10)
    assert kept is not None
    assert expired is not None
    assert (ahead_of(0, kept), ahead_of(0, expired)) == (1.0, 0.0)


def test_what_is_stored_of_a_cohort_is_bounded() -> None:
    """Totals beyond the limit count as the limit, whatever an event says."""
    found = cohort_on(DAY, [*[done(100_000)] * 6, *[done(2)] * 6])
    assert found is not None
    assert len(found.totals) == MOST_EXERCISES + 1
    assert found.totals[-1] == 1.0
    assert ahead_of(2, found) == 0.5
    assert ahead_of(100_000, found) == 0.0


def test_features_without_peers_are_nan() -> None:
    """On the days without a cohort only; all students share the others' values."""
    cohort = cohort_on(DAY, [done(4)] * FEWEST_PEERS)
    found = peer_columns([None, cohort], np.zeros((3, 2), dtype=np.int64))
    assert found
    for values in found.values():
        assert values.shape == (3, 2)
        assert np.isnan(values[:, 0]).all()
        assert (values[:, 1] == values[0, 1]).all()
    assert found["peers_ahead"][0, 1] == found["peers_total_7"][0, 1] == 1.0


def test_nothing_after_the_day_matters() -> None:
    """A cohort on a day is what was known then."""
    students = [done(4)] * FEWEST_PEERS
    later = [of | {DAY + 1: DayFacts(active=1, asked=5, completed=9, total=9)} for of in students]
    assert cohort_on(DAY, students) == cohort_on(DAY, later)
