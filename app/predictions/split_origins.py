"""Which of the retained days a model learns from, and on which it is tested. Pure.

    day     0 … 34      35 … T−28        T−27 … T−21    T−20 … T−7      T−6 … T
            too early   training         outcomes come  test            outcomes come

T is yesterday, the last full day. All outcomes of the training lie before the first day of the test. So it is for forecasts,
whose outcomes come after 7 days; those of risk come after 14, and the periods move accordingly.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from app.predictions.daily_history import DailyHistory, Ints
from app.predictions.features import HORIZON_DAYS
from app.predictions.origins import Origins, OutcomesOf, joined, origins, outcomes
from app.predictions.peers import peers
from app.predictions.train_model import Examples

TEST_DAYS = 14
WEEK_DAYS = 7
# Of earlier days, most of the evidence that counted then has expired since (decision 6): they look like days of new students.
EARLIEST_COLUMN = 35
# With fewer, no day is left to learn from: today is not over, and comes on top.
FEWEST_RETENTION_DAYS = EARLIEST_COLUMN + 1 + HORIZON_DAYS + TEST_DAYS + HORIZON_DAYS + 1
# Fewer origins in a cohort say nothing about it alone: a leaf of the trees takes 200, and those of a cohort are alike.
FEWEST_IN_COHORT = 300
SMALL_COHORTS = "small cohorts"  # no cohort has this name, since it is no id


class Columns(NamedTuple):
    """Days by their columns in a history."""

    training: Ints
    test: Ints


def split_columns(days: int, horizon_days: int = HORIZON_DAYS) -> Columns:
    """Split the columns of a history of this number of days, where outcomes come after ``horizon_days``."""
    test = days - horizon_days - TEST_DAYS
    training = np.arange(EARLIEST_COLUMN, test - horizon_days)
    return Columns(training, np.arange(max(0, test), max(0, days - horizon_days)))


def drawn_origins(
    history: DailyHistory, retention_days: int, columns: Ints, number: int, seed: int, outcomes_of: OutcomesOf = outcomes
) -> Origins:
    """Draw at most ``number`` origins with known outcome of these columns; of at most ``STUDENTS_AT_ONCE`` students."""
    yesterday = peers(history, retention_days, columns - 1)
    found = origins(history, retention_days, columns, yesterday, outcomes_of).with_outcome()
    return found.take(np.random.default_rng(seed).permutation(len(found.score))[:number])


def weeks_of(tested: Sequence[Origins]) -> list[list[Origins]]:
    """The origins of each test, by its weeks, the earlier one first; the tests are of the same days."""
    last = max((int(of.column.max(initial=0)) for of in tested), default=0)
    week = [(last - of.column) // WEEK_DAYS for of in tested]
    return [
        [of.take(np.flatnonzero(ago == weeks)) for weeks in reversed(range(TEST_DAYS // WEEK_DAYS))]
        for of, ago in zip(tested, week, strict=True)
    ]


def pooled(cohorts: Mapping[str, Examples]) -> dict[str, Examples]:
    """Put small cohorts together, with a large one if they are too small even so: each is left out once in the training."""
    large = {name: each for name, each in cohorts.items() if len(each.real.score) >= FEWEST_IN_COHORT}
    small = [each for name, each in cohorts.items() if name not in large and len(each.real.score)]
    if small and large and sum(len(each.real.score) for each in small) < FEWEST_IN_COHORT:
        small.append(large.pop(min(large)))
    if small:
        large[SMALL_COHORTS] = _together(small)
    return large


def _together(cohorts: Sequence[Examples]) -> Examples:
    """Several cohorts as one: students are numbered across them, since each cohort begins with 0."""
    sizes = [int(each.all.student.max(initial=-1)) + 1 for each in cohorts]
    starts = np.cumsum([0, *sizes[:-1]])
    numbered = [
        Examples(*(part._replace(student=part.student + start) for part in each))
        for each, start in zip(cohorts, starts, strict=True)
    ]
    return Examples(joined([each.real for each in numbered]), joined([each.all for each in numbered]))
