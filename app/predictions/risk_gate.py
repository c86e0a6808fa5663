"""Decides whether the learned risk answers: it has to be better than the table of ``base_risk.py`` on the latest days. Pure."""

from msgspec import Struct

from app.predictions.daily_history import Floats
from app.predictions.risk_measures import average_precision, calibration_error, log_loss


class RiskMeasures(Struct, frozen=True):
    """How good an estimate of risk was.

    Attributes:
        average_precision: the area under precision and recall, 0..1; None if nobody was at risk.
        calibration_error: the expected one, 0..1; None for a rule that has no probabilities.
        log_loss: the mean, 0 or more; None for such a rule.
    """

    average_precision: float | None
    calibration_error: float | None
    log_loss: float | None


class RiskTest(Struct, frozen=True, kw_only=True):
    """A back-test of risk: on how many students and days, how many of them were at risk, and what each estimate reached.

    Attributes:
        tested: students and days.
        at_risk: how many of them were at risk, as ``risk.py`` says what that is.
        base: the table of ``base_risk.py``.
        rule: what a teacher would look at: ``simple_rule``.
        learned: the learned risk.
        answers: whether the learned risk answers; else the table does.
    """

    tested: int
    at_risk: int
    base: RiskMeasures
    rule: RiskMeasures
    learned: RiskMeasures
    answers: bool


def risk_test(outcome: Floats, *, base: Floats, rule: Floats, learned: Floats) -> RiskTest:
    """Compare estimates with what came, (students and days) each, at least one.

    Returns:
        The comparison. The learned risk answers if its log loss is lower than the table's. The log loss is a proper score: it
        judges the order of students and the calibration of probabilities in one number.
    """
    return RiskTest(
        tested=len(outcome),
        at_risk=int(outcome.sum()),
        base=_measures(outcome, base),
        rule=RiskMeasures(average_precision(outcome, rule), None, None),
        learned=_measures(outcome, learned),
        answers=log_loss(outcome, learned) < log_loss(outcome, base),
    )


def _measures(outcome: Floats, probability: Floats) -> RiskMeasures:
    return RiskMeasures(
        average_precision(outcome, probability), calibration_error(outcome, probability), log_loss(outcome, probability)
    )
