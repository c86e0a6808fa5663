"""How far a forecast can be trusted, from 0 to 1. Pure.

    confidence = d / (d + 7) · (0.4 + 0.6 · coverage) · ½^(s / 14)

``d``         days of history: since the first retained evidence, that day included
``coverage``  sum of the weights of components with evidence, 0..1
``s``         days since the latest evidence

It is a convention, not a probability: the interval says how far past forecasts were off. A week of history is worth half of
what more can give; a student of whom only activity is known, half of one with all components; and evidence that is stale, half
of new evidence.
"""

from app.mastery.formula import DECIMALS

HALF_HISTORY_DAYS = 7
LEAST_FOR_COVERAGE = 0.4
STALE_DAYS = 14


def confidence(history_days: int, coverage: float, days_without_evidence: int) -> float:
    """The confidence of a forecast, rounded to six decimals. ``history_days`` ≥ 1, ``coverage`` 0..1, the third ≥ 0."""
    of_history = history_days / (history_days + HALF_HISTORY_DAYS)
    of_coverage = LEAST_FOR_COVERAGE + (1 - LEAST_FOR_COVERAGE) * coverage
    return float(round(of_history * of_coverage * 0.5 ** (days_without_evidence / STALE_DAYS), DECIMALS))
