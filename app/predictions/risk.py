"""Risk: how probable it is that a student, in ``RISK_DAYS``, has a low mastery, or was not active until then. Pure.

    probability = 1 / (1 + exp(−(slope · trees(features) + intercept)))

The trees give log odds. Slope and intercept correct them by what came of students that the trees had not seen: Platt scaling.
Source: J. Platt, "Probabilistic outputs for support vector machines", in: Advances in Large Margin Classifiers (2000).
What the probability is of, and why: docs/decisions/0031-risk.md.
"""

import numpy as np
from msgspec import Struct

from app.predictions.boosted_trees import BoostedTrees
from app.predictions.daily_history import DailyHistory, Floats, Ints, Mask, components, mastery
from app.predictions.intervention import INACTIVE_DAYS

RISK_DAYS = 14
AT_RISK_BELOW = 0.5


def risk_outcomes(history: DailyHistory, retention_days: int, columns: Ints) -> Floats:
    """What came of each student after each column, as seen ``RISK_DAYS`` later: 1 if at risk, 0 if not, NaN if not known yet.

    Returns:
        (students, columns).
    """
    later = columns + RISK_DAYS
    first = later - retention_days + 1
    is_low = mastery(components(history, first, later)) < AT_RISK_BELOW
    is_inactive = ~(history.inactivity(first, later) < RISK_DAYS)
    return np.asarray(np.where(later < history.days, is_low | is_inactive, np.nan))


def simple_rule(history: DailyHistory, retention_days: int, columns: Ints) -> Mask:
    """What a teacher would look at: mastery below ``AT_RISK_BELOW`` now, and no activity for ``INACTIVE_DAYS``.

    Returns:
        (students, columns).
    """
    first = columns - retention_days + 1
    is_inactive = ~(history.inactivity(first, columns) < INACTIVE_DAYS)
    return np.asarray((mastery(components(history, first, columns)) < AT_RISK_BELOW) & is_inactive)


class Scaling(Struct, frozen=True):
    """Log odds as calibrated by what came: slope · log odds + intercept."""

    slope: float
    intercept: float

    def probability(self, log_odds: Floats) -> Floats:
        """The probabilities, 0..1."""
        return logistic(self.slope * log_odds + self.intercept)


class RiskModel(Struct, frozen=True):
    """Trees and their calibration. ``features`` are the names of the features that they were trained with, in their order."""

    features: tuple[str, ...]
    log_odds: BoostedTrees
    scaling: Scaling

    def probability(self, features: Floats) -> Floats:
        """The risk of each row: (rows, features) → (rows), 0..1."""
        return self.scaling.probability(self.log_odds.predict(features))


def scaling_of(log_odds: Floats, outcome: Floats) -> Scaling:
    """Fit the scaling by logistic regression on log odds and what came, 1 or 0: (students) each, at least one.

    Outcomes count as (n₊ + 1) / (n₊ + 2) and 1 / (n₋ + 2), so that the fit is finite. Source: Platt (2000), section 2.2.

    Returns:
        The scaling under which the outcomes are most likely.
    """
    from scipy.optimize import minimize  # noqa: PLC0415 - takes most of a second to import; only who trains needs it

    came = outcome > 0
    number = int(came.sum())
    target = np.where(came, (number + 1) / (number + 2), 1 / (len(came) - number + 2))
    inputs = np.stack([log_odds, np.ones(len(log_odds))])

    def loss(weights: Floats) -> tuple[float, Floats]:
        """The mean log loss, and its gradient."""
        scaled = weights @ inputs
        slope = inputs @ (logistic(scaled) - target) / len(target)
        return float((np.logaddexp(0.0, scaled) - target * scaled).mean()), slope

    slope, intercept = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x.tolist()
    return Scaling(slope, intercept)


def logistic(log_odds: Floats) -> Floats:
    """The probability of log odds; those beyond ±30 are as good as certain."""
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -30.0, 30.0))))
