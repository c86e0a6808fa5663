"""Trains the risk model of a tenant beside its forecasts, on the same histories, and tests it on the latest weeks. Pure.

    day     0 … 34      35 … T−42        T−41 … T−28    T−27 … T−14     T−13 … T
            too early   training         outcomes come  test            outcomes come

T is yesterday, the last full day: ``split_origins.py``. Of a window of 90 days, twelve are for the training: origins are drawn
from all of them, not from each third day as where whole histories are known.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from app.predictions.base_risk import base_risk_of
from app.predictions.daily_history import DailyHistory, Floats
from app.predictions.forecast_errors import FEWEST_FORECASTS
from app.predictions.origins import Origins
from app.predictions.risk import RISK_DAYS, RiskModel, risk_outcomes, simple_rule
from app.predictions.risk_gate import RiskTest, risk_test
from app.predictions.split_origins import drawn_origins, pooled, split_columns
from app.predictions.train_model import FEWEST_STUDENTS, FEWEST_TRAINING_ORIGINS, Examples, examples, students_of
from app.predictions.train_risk_model import RISK_ORIGINS, risk_training_steps, train_risk_model


class RiskDrawn(NamedTuple):
    """What was drawn of a cohort: to learn from, and to test on; ``rule`` is 1 where the simple rule names a tested origin."""

    learned_from: Examples
    tested_on: Origins
    rule: Floats


class TrainedTenantRisk(NamedTuple):
    """The risk model of a tenant, and its test."""

    model: RiskModel
    test: RiskTest


def drawn_risk(history: DailyHistory, retention_days: int, cohorts: int, to_test: int, seed: int) -> RiskDrawn | None:
    """Draw from the history of one of so many cohorts, at most ``to_test`` origins for the test; None if it is too short."""
    training, test = split_columns(history.days, RISK_DAYS)
    if not len(training):
        return None
    learned_from = examples(history, retention_days, training, RISK_ORIGINS // cohorts, seed, risk_outcomes)
    tested_on = drawn_origins(history, retention_days, test, to_test, seed, risk_outcomes)
    rule = simple_rule(history, retention_days, test)[tested_on.student, tested_on.column - test[0]]
    return RiskDrawn(learned_from, tested_on, rule.astype(np.float64))


def is_enough(drawn: Mapping[str, RiskDrawn]) -> bool:
    """Whether there is enough to learn from, and to test: as much as for forecasts."""
    learned_from = sum(len(each.learned_from.real.score) for each in drawn.values())
    students = sum(students_of(each.learned_from) for each in drawn.values())
    is_trainable = learned_from >= FEWEST_TRAINING_ORIGINS and students >= FEWEST_STUDENTS
    return is_trainable and sum(len(each.rule) for each in drawn.values()) >= FEWEST_FORECASTS


def tenant_risk_steps(drawn: Mapping[str, RiskDrawn]) -> int:
    """How many steps it takes to train on what was drawn; 0 if it is not enough."""
    return risk_training_steps(len(_pooled(drawn))) if is_enough(drawn) else 0


def train_tenant_risk(drawn: Mapping[str, RiskDrawn], on_step: Callable[[], None] = lambda: None) -> TrainedTenantRisk | None:
    """Train on all cohorts, and test on their latest days. ``on_step`` is called after each of the ``tenant_risk_steps``.

    Returns:
        The model and its test; None if there is too little: then the table of ``base_risk.py`` answers.
    """
    if not is_enough(drawn):
        return None
    model = train_risk_model(_pooled(drawn), on_step).model
    parts = [
        (each.tested_on.outcome, base_risk_of(each.tested_on), each.rule, model.probability(each.tested_on.features))
        for each in drawn.values()
    ]
    outcome, base, rule, learned = (np.concatenate(values) for values in zip(*parts, strict=True))
    return TrainedTenantRisk(model, risk_test(outcome, base=base, rule=rule, learned=learned))


def _pooled(drawn: Mapping[str, RiskDrawn]) -> dict[str, Examples]:
    return pooled({cohort: each.learned_from for cohort, each in drawn.items()})
