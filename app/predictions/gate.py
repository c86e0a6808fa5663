"""Decides what answers for a cohort, the base model or the learned one, from their errors in the weeks of a back-test. Pure.

The base model answers, unless the learned one was clearly better in each week of the test: by more than ``MARGIN`` in MAE, and
no worse in RMSE. The test has the latest two weeks whose outcome is known. They say little about the next ones: a model that
has seen four weeks of one tenant expects assessments when there are none.

"Stays as it is" never answers. Within one retention window nothing leaves it, so the test cannot show what the base model is
best at; and without that, both say the same (``base_model.py``).

Simulated on OULAD: at most 500 students of a cohort, a training on their own 89 days every two weeks; MAE and RMSE of the two
weeks that followed, relative to "stays as it is":

    the base model always                                                        .853   .935
    the learned model always, once there is one                                  1.201  1.079
    the learned model where it was 1 % better in MAE over both weeks             .870   .942
    where it was better in each week, by any margin                              .847   .934
    where it was 5 % better in each week: this rule                              .847   .934
    10 % in each week                                                            .851   .935
    5 % over both weeks, in two trainings in a row                               .846   .934

With a margin of 5 % no cohort was worse than with the base model, and none was worse than "stays as it is" by more than 1 % in
any two weeks; without a margin one was. Two trainings in a row would need those of different weeks, which daily ones are not.
``benchmarks/own_days.py`` repeats the simulation of this rule.
"""

from collections.abc import Mapping, Sequence

from app.predictions.forecast_errors import BASE, FEWEST_FORECASTS, LEARNED, ForecastErrors

# The learned model's mean absolute error must be lower by more than this share.
MARGIN = 0.05


def answerer(weeks: Sequence[Mapping[str, ForecastErrors]]) -> str | None:
    """Decide which method answers for the students whose forecasts had these errors, by week and method.

    Returns:
        The base model or the learned one; None if there are too few forecasts to tell.
    """
    if sum(errors[BASE].number for errors in weeks) < FEWEST_FORECASTS:
        return None
    return LEARNED if all(_is_clearly_better(errors[LEARNED], errors[BASE]) for errors in weeks) else BASE


def _is_clearly_better(learned: ForecastErrors, base: ForecastErrors) -> bool:
    return learned.mae < base.mae * (1 - MARGIN) and learned.rmse <= base.rmse
