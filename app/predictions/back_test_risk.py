"""Back-test of risk: each cohort by a model that has not seen it, on days of the course when there is time to help. Pure.

An estimate looks at nothing that came after its day. The rule to beat is what a teacher would look at: ``simple_rule``.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from app.mastery.facts import DayFacts
from app.predictions.daily_history import DailyHistory, Floats
from app.predictions.event_history import Cohort
from app.predictions.origins import origins
from app.predictions.peers import FEWEST_PEERS, peers
from app.predictions.risk import RiskModel, risk_outcomes, simple_rule
from app.predictions.train_risk_model import RISK_ORIGINS, risk_examples, risk_training_steps, train_risk_model

# Days after a cohort's first day: after one month and two.
RISK_TEST_DAYS = (30, 60)


class Estimated(NamedTuple):
    """A cohort's students with evidence on a day, (students) each.

    Attributes:
        outcome: 1 for students who were at risk, or 0.
        rule: 1 for students whom the simple rule names, or 0.
        probability: what the model says; None if there was no other cohort to learn from.
    """

    outcome: Floats
    rule: Floats
    probability: Floats | None


def back_test_risk(
    histories: Mapping[Cohort, DailyHistory], retention_days: int, on_step: Callable[[], None] = lambda: None
) -> dict[Cohort, dict[int, Estimated]]:
    """Estimate the risk in every cohort by a model of all others. ``on_step`` is called after each of the ``risk_steps``.

    Returns:
        By cohort and day of ``RISK_TEST_DAYS``; without the days whose outcome is not known, or when nobody had evidence.
    """
    learned_from = {}
    each = RISK_ORIGINS // max(1, len(histories) - 1)
    for seed, (cohort, history) in enumerate(histories.items()):
        learned_from[str(cohort)] = risk_examples(history, retention_days, np.arange(history.days), each, seed)
        on_step()
    results = {}
    for cohort, history in histories.items():
        others = {name: seen for name, seen in learned_from.items() if name != str(cohort)}
        model = train_risk_model(others, on_step).model if others else None
        days = {day: estimate(history, retention_days, first_day(history) + day, model) for day in RISK_TEST_DAYS}
        results[cohort] = {day: found for day, found in days.items() if len(found.outcome)}
        on_step()
    return results


def risk_steps(cohorts: int) -> int:
    """How many steps it takes to back-test this number of cohorts."""
    return cohorts * (2 + (risk_training_steps(cohorts - 1) if cohorts > 1 else 0))


def first_day(history: DailyHistory) -> int:
    """The column of a cohort's first day: when ``FEWEST_PEERS`` of its students have evidence; of fewer, the first with any."""
    has = np.zeros((history.students, history.days), dtype=bool)
    for name in DayFacts.__struct_fields__:
        has |= history.facts[name] > 0
    number = has.sum(axis=0)
    return int(np.argmax(number >= min(FEWEST_PEERS, number.max())))


def estimate(history: DailyHistory, retention_days: int, column: int, model: RiskModel | None) -> Estimated:
    """The students with evidence on a day, if what came of them is known."""
    day = np.array([column])
    if column >= history.days:
        return Estimated(np.zeros(0), np.zeros(0), None)
    of = origins(history, retention_days, day, peers(history, retention_days, day - 1), risk_outcomes).with_outcome()
    rule = simple_rule(history, retention_days, day)[of.student, 0]
    return Estimated(of.outcome, rule.astype(np.float64), None if model is None else model.probability(of.features))
