"""Risk of a student in an engine that has not learned yet: how often students like this one were at risk elsewhere. Pure.

Source: Open University Learning Analytics Dataset (Kuzilek, Hlosta, Zdrahal, 2017, CC BY 4.0): four cohorts, every third day on
which ten students were live, retention 90 days; the mean of the cohorts with at least 50 such students and days.
"""

import numpy as np

from app.mastery.formula import Components
from app.predictions.daily_history import CONSISTENCY, Floats
from app.predictions.features import feature_names
from app.predictions.origins import Origins

# The first mastery of each further row. Below 0.3, students recovered more often than above; but only since they were at the
# beginning of their courses, so there is no such row.
MASTERY_FROM = (0.5, 0.6, 0.75)
INACTIVE_FROM = (3, 7, 14)  # the first day without activity of each further column
_AT_RISK = np.array(
    [
        [0.73, 0.85, 0.92, 0.95],
        [0.16, 0.27, 0.39, 0.66],
        [0.06, 0.20, 0.48, 0.75],
        [0.05, 0.17, 0.37, 0.59],
    ]
)


def base_risk(score: Floats, inactive_days: Floats) -> Floats:
    """The probability of being at risk, as ``risk.py`` says what that is.

    Args:
        score: mastery now, 0..1: (students).
        inactive_days: days since the latest activity: (students).

    Returns:
        0..1: (students).
    """
    return np.asarray(_AT_RISK[np.digitize(score, MASTERY_FROM), np.digitize(inactive_days, INACTIVE_FROM)])


def base_risk_of(of: Origins) -> Floats:
    """The same of each origin: (origins)."""
    return base_risk(of.score, inactive_days(of))


def inactive_days(of: Origins) -> Floats:
    """Days since the latest retained activity of each origin; since the latest evidence for those without any: (origins)."""
    since = of.features[:, [feature_names().index(f"days_since_{name}") for name in Components._fields]]
    of_activity = since[:, CONSISTENCY]
    return np.where(np.isnan(of_activity), np.fmin.reduce(since, axis=1), of_activity)
