"""Conformal quantiles: what most past errors did not exceed, and so most of the next ones will not. Pure.

    quantile = the ⌈(n + 1) · share⌉-th smallest of n past errors, or the largest
    share    = level + CAUTION / √n

Were errors independent, the share of next errors below the quantile would scatter around ``share``, from one set of n past
errors to another, with a standard deviation of √(level · (1 − level) / n). The second term keeps it above ``level`` mostly.
Source: V. Vovk, "Conditional validity of inductive conformal predictors", Machine Learning 92 (2013).
"""

import numpy as np

from app.predictions.daily_history import Floats

# Errors are alike: those of a student on several days, and those of a cohort when an assessment comes. If 15 count as one, the
# share is above 0.8 in nine of ten cases with 1.28 · √(0.8 · 0.2 · 15 / n) = 2 / √n. Back-tests need as much (decision 29).
CAUTION = 2.0


def careful_share(level: float, number: int) -> float:
    """The share of this number of past errors, at least one, that must not exceed a quantile: more of few; 0..1."""
    return min(level + CAUTION / float(np.sqrt(number)), 1.0)


def conformal_quantile(errors: Floats, share: float) -> float:
    """What this share of next errors, 0..1, does not exceed, if they are like these, which are at least one."""
    rank = min(int(np.ceil((len(errors) + 1) * share)), len(errors))
    return float(np.partition(errors, rank - 1)[rank - 1])
