"""Risk of a student in an engine that has not learned yet: how often students like this one were at risk elsewhere. Pure.

Source: Open University Learning Analytics Dataset (Kuzilek, Hlosta, Zdrahal, 2017, CC BY 4.0): four cohorts, every third day on
which ten students were live, retention 90 days; the mean of the cohorts with at least 50 such students and days.
"""

import numpy as np

from app.predictions.daily_history import Floats
from app.predictions.features import feature_names
from app.predictions.origins import Origins

MASTERY_FROM = (0.3, 0.5, 0.6, 0.75)  # the first mastery of each further row
INACTIVE_FROM = (3, 7, 14)  # the first day without activity of each further column
_AT_RISK = np.array(
    [
        # Those who have hardly any evidence are often at the beginning, and recover more often than the next row.
        [0.56, 0.68, 0.77, 0.99],
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
        inactive_days: days since the latest activity; NaN for none: (students).

    Returns:
        0..1: (students).
    """
    inactive = np.where(np.isnan(inactive_days), INACTIVE_FROM[-1], inactive_days)
    return np.asarray(_AT_RISK[np.digitize(score, MASTERY_FROM), np.digitize(inactive, INACTIVE_FROM)])


def base_risk_of(of: Origins) -> Floats:
    """The same of each origin: (origins)."""
    return base_risk(of.score, inactive_days(of))


def inactive_days(of: Origins) -> Floats:
    """Days since the latest retained activity of each origin; NaN for none: (origins)."""
    return np.asarray(of.features[:, feature_names().index("days_since_consistency")])
