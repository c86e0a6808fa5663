"""The back-test of risk: which students and days, and that a cohort is estimated by others."""

from functools import partial
from itertools import count

import numpy as np
import pytest

from app.predictions.back_test_risk import RISK_TEST_DAYS, back_test_risk, first_day, risk_steps
from app.predictions.daily_history import components, has_evidence, history_of
from app.predictions.event_history import Cohort
from app.predictions.peers import FEWEST_PEERS
from app.predictions.risk import RISK_DAYS, risk_outcomes, simple_rule
from tests.unit.predictions.cohorts import LAST, random_facts, random_history

RETENTION, DAYS = 30, 50
A, B = Cohort("t", "a"), Cohort("t", "b")


def test_students_with_evidence_are_estimated_where_the_outcome_is_known() -> None:
    """Thirty days after the first day; sixty days after it, the file has ended."""
    histories = {A: random_history(40, DAYS), B: random_history(40, DAYS, 1)}
    steps = count(1)
    results = back_test_risk(histories, RETENTION, partial(next, steps))
    assert next(steps) == risk_steps(2) + 1
    for cohort, history in histories.items():
        assert list(results[cohort]) == [RISK_TEST_DAYS[0]]
        found = results[cohort][RISK_TEST_DAYS[0]]
        day = np.array([first_day(history) + RISK_TEST_DAYS[0]])
        present = has_evidence(components(history, day - RETENTION + 1, day))[:, 0]
        np.testing.assert_array_equal(found.outcome, risk_outcomes(history, RETENTION, day)[present, 0])
        np.testing.assert_array_equal(found.rule, simple_rule(history, RETENTION, day)[present, 0])
        assert found.probability is not None
        assert len(found.probability) == len(found.outcome)


def test_a_cohort_is_estimated_by_what_others_show() -> None:
    """A cohort's own facts after the day change no estimate of it; another cohort's do."""
    facts = random_facts(60, DAYS)
    before = first_day(history_of(facts, LAST)) + RISK_TEST_DAYS[0] + 1
    later = {name: np.hstack([of[:, :before], np.zeros_like(of[:, before:])]) for name, of in facts.items()}
    history, other = history_of(facts, LAST), random_history(60, DAYS, 1)
    as_it_was = back_test_risk({A: history, B: other}, RETENTION)[A][RISK_TEST_DAYS[0]]
    without = back_test_risk({A: history_of(later, LAST), B: other}, RETENTION)[A][RISK_TEST_DAYS[0]]
    assert as_it_was.probability is not None
    assert without.probability is not None
    np.testing.assert_array_equal(without.probability, as_it_was.probability)
    assert without.outcome.all()  # nobody was active any more
    assert not as_it_was.outcome.all()
    by_another = back_test_risk({A: history, B: random_history(60, DAYS, 2)}, RETENTION)[A][RISK_TEST_DAYS[0]]
    assert by_another.probability is not None
    assert not np.array_equal(by_another.probability, as_it_was.probability)


def test_a_single_cohort_has_the_rule_only() -> None:
    """There is nothing to learn from."""
    (days,) = back_test_risk({A: random_history(40, DAYS)}, RETENTION).values()
    assert [each.probability for each in days.values()] == [None]


@pytest.mark.parametrize("days", [1, RISK_DAYS, RISK_DAYS + 1, RISK_TEST_DAYS[0] + RISK_DAYS])
def test_files_of_few_days_have_no_result(days: int) -> None:
    """And no error."""
    histories = {A: random_history(20, days), B: random_history(20, days, 1)}
    assert back_test_risk(histories, RETENTION) == {A: {}, B: {}}


def test_the_first_day_is_when_enough_have_evidence() -> None:
    """One early student does not begin a course, unless there are few."""
    facts = {name: np.zeros((FEWEST_PEERS + 1, 9), np.int64) for name in random_facts(1, 1)}
    facts["active"][0, 2] = 1
    facts["active"][1:, 5] = 1
    assert first_day(history_of(facts, LAST)) == 5
    assert first_day(history_of({name: of[:1] for name, of in facts.items()}, LAST)) == 2
