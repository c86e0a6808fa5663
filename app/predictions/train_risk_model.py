"""Trains the model of risk as ``train_model.py`` trains forecasts: on several cohorts, calibrated on those left out."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from app.predictions.boosted_trees import BoostedTrees, Tree
from app.predictions.daily_history import DailyHistory, Floats, Ints
from app.predictions.features import feature_names
from app.predictions.origins import Origins, joined
from app.predictions.risk import RISK_DAYS, RiskModel, Scaling, risk_outcomes, scaling_of
from app.predictions.train_model import FOLDS, Examples, examples, folds, split

# Origins that a model learns from: what docs/decisions/0031-risk.md reports was reached with these.
RISK_ORIGINS = 60_000
# Every third day: neighbours look alike, and three is no divisor of a week, so that all days of it occur.
DAYS_BETWEEN = 3
_UNCHANGED = Scaling(1.0, 0.0)


class TrainedRisk(NamedTuple):
    """A model, and a test of how it was made: log odds of cohorts that had been left out, one group after another."""

    model: RiskModel
    unseen: Origins
    log_odds: Floats


def risk_examples(history: DailyHistory, retention_days: int, columns: Ints, number: int, seed: int) -> Examples:
    """Draw about ``number`` origins from a cohort's history, with what came of them as their outcome: 1 at risk, or 0."""
    columns = columns[columns + RISK_DAYS < history.days][::DAYS_BETWEEN]
    return examples(history, retention_days, columns, number, seed, risk_outcomes)


def train_risk_model(cohorts: Mapping[str, Examples], on_step: Callable[[], None] = lambda: None) -> TrainedRisk:
    """Train on all these cohorts, at least one. ``on_step`` is called after each of the ``risk_training_steps``.

    Returns:
        The model, and its test. The scaling comes from the test.
    """
    cohorts = cohorts if len(cohorts) > 1 else split(*cohorts.values())
    names = sorted(cohorts)
    raw: list[Floats] = []
    of: list[Origins] = []
    for left_out in folds(names):
        trees = _fit([cohorts[name].all for name in names if name not in left_out])
        left = joined([cohorts[name].real for name in left_out])
        raw.append(trees.predict(left.features))
        of.append(left)
        on_step()
    unseen, log_odds = joined(of), np.concatenate(raw)
    scaling = scaling_of(log_odds, unseen.outcome) if len(log_odds) else _UNCHANGED
    trees = _fit([cohorts[name].all for name in names])
    on_step()
    return TrainedRisk(RiskModel(feature_names(), trees, scaling), unseen, log_odds)


def risk_training_steps(number: int) -> int:
    """How many steps it takes to train on this number of cohorts."""
    return 1 + (FOLDS if number == 1 else min(FOLDS, number))


def _fit(parts: Sequence[Origins]) -> BoostedTrees:
    """Trees for the log odds; a single leaf if the outcomes do not differ, or there are none."""
    from app.predictions.fit_trees import Target, fit_trees  # noqa: PLC0415 - scikit-learn: only where a model is trained

    seen = joined(list(parts))
    at_risk = int(seen.outcome.sum())
    safe = len(seen.outcome) - at_risk
    if at_risk and safe:
        return fit_trees(seen.features, seen.outcome, Target.LOG_ODDS)
    return BoostedTrees(float(np.log((at_risk + 1) / (safe + 1))), [Tree([0], [0.0], [0], [0], [0])])
