"""How good estimates of risk were: what they find, and whether they come true as often as they say. Pure."""

import numpy as np

from app.predictions.daily_history import Floats

CALIBRATION_BINS = 10
LEAST = 1e-6  # so that one who was at risk in spite of a probability of 0 does not make the log loss infinite


def average_precision(outcome: Floats, score: Floats) -> float | None:
    """The area under the curve of precision and recall, as a sum of steps, from the highest score down.

    Σ (recall_n − recall_{n−1}) · precision_n over the distinct scores; equal scores are one step. Source: M. Zhu, "Recall,
    precision and average precision", University of Waterloo (2004); scikit-learn's ``average_precision_score``.

    Args:
        outcome: 1 for a student who was at risk, or 0: (students).
        score: the higher, the more at risk: (students).

    Returns:
        0..1; None if nobody was at risk.
    """
    at_risk = outcome.sum()
    if not at_risk:
        return None
    order = np.argsort(-score, kind="stable")
    found = np.cumsum(outcome[order])
    last_of_score = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    precision = found[last_of_score] / (last_of_score + 1)
    more = np.diff(found[last_of_score], prepend=0.0)
    return float((more * precision).sum() / at_risk)


def calibration_error(outcome: Floats, probability: Floats) -> float:
    """The expected calibration error: in bins of 0.1, how far the share at risk is from the mean probability, by students.

    Source: M. Naeini, G. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015.

    Returns:
        0..1; 0 without students.
    """
    bins = np.minimum((probability * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    off = np.bincount(bins, weights=probability - outcome)
    return float(np.abs(off).sum() / max(1, len(outcome)))


def log_loss(outcome: Floats, probability: Floats) -> float:
    """The mean of −log(p) over those who were at risk, and of −log(1 − p) over the others; p at least ``LEAST`` from 0 and 1.

    A proper score: it is lowest for the true probabilities. Source: I. J. Good, "Rational decisions", Journal of the Royal
    Statistical Society B 14 (1952).

    Returns:
        0 or more; 0 without students.
    """
    of_outcome = np.where(outcome > 0, probability, 1 - probability)
    return float(-np.log(np.maximum(of_outcome, LEAST)).sum() / max(1, len(outcome)))
