"""Simple forecasts that a model has to beat: the last value, a straight line, Holt's smoothing. Pure.

Sources: least squares: C. F. Gauss; smoothing: C. C. Holt, "Forecasting seasonals and trends by exponentially weighted moving
averages" (1957), International Journal of Forecasting 20 (2004).
"""

import numpy as np

from app.predictions.daily_history import Floats, Mask
from app.predictions.features import HORIZON_DAYS

# Holt's level and trend follow each day's mastery by these shares; the usual values for daily data without a season.
LEVEL_SHARE, TREND_SHARE = 0.5, 0.1


def line(mean: Floats, slope: Floats, number: Floats) -> Floats:
    """The regression line of the last ``number`` days, ``HORIZON_DAYS`` after the last of them, clipped to 0..1."""
    ahead = (number - 1) / 2 + HORIZON_DAYS
    return np.clip(mean + slope * ahead, 0.0, 1.0)


def holt(score: Floats, present: Mask) -> Floats:
    """Holt's linear method on each student's daily mastery, ``HORIZON_DAYS`` after each day: (students, days) → the same.

    It begins anew after a day without evidence.

    Returns:
        Forecasts, clipped to 0..1; on days without evidence without meaning.
    """
    forecasts = np.zeros(score.shape)
    level, trend = score[:, 0].copy(), np.zeros(len(score))
    for day in range(score.shape[1]):
        goes_on = present[:, day] & (present[:, day - 1] if day else False)
        expected = level + trend
        new = np.where(goes_on, LEVEL_SHARE * score[:, day] + (1 - LEVEL_SHARE) * expected, score[:, day])
        trend = np.where(goes_on, TREND_SHARE * (new - level) + (1 - TREND_SHARE) * trend, 0.0)
        level = new
        forecasts[:, day] = level + HORIZON_DAYS * trend
    return np.clip(forecasts, 0.0, 1.0)
