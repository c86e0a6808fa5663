"""Trains a learned model on origins of several cohorts, and calibrates its intervals on cohorts that each part has not seen."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from app.predictions.boosted_trees import BoostedTrees
from app.predictions.daily_history import DailyHistory, Ints, history_of
from app.predictions.features import HORIZON_DAYS, feature_names
from app.predictions.learned_model import Forecasts, LearnedModel, margins, raw_forecasts
from app.predictions.origins import STUDENTS_AT_ONCE, Origins, OutcomesOf, joined, origins, outcomes, some_students
from app.predictions.peers import FEWEST_PEERS, peers

# Origins that a model learns from: more do not make it better, and take longer.
TRAINING_ORIGINS = 200_000
# Copies in which a kind of evidence is missing, so that a course without quizzes is nothing new. Each is this share of all.
MISSING_SHARE = 0.13
MISSING: Sequence[tuple[str, ...]] = (("asked", "correct"), ("submissions", "quality_millionths"), ("total", "completed"))
# The leaves of a tree take 200 origins each: from fewer than this nothing can be learned.
FEWEST_TRAINING_ORIGINS = 1_000
# Of fewer, each would be much of what is learned; it is also more than the groups that are left out in turn.
FEWEST_STUDENTS = FEWEST_PEERS
# Groups of cohorts that are left out in turn to calibrate the intervals.
FOLDS = 4


class Examples(NamedTuple):
    """What a cohort gives to learn from: origins as they were, and of copies in which some evidence is missing."""

    real: Origins
    all: Origins


def examples(
    history: DailyHistory, retention_days: int, columns: Ints, number: int, seed: int, outcomes_of: OutcomesOf = outcomes
) -> Examples:
    """Draw about ``number`` origins with known outcome from a cohort's history, on these columns."""
    rng = np.random.default_rng(seed)
    columns = columns[columns + HORIZON_DAYS < history.days]
    copies = [(history, round(number * (1 - MISSING_SHARE * len(MISSING))))]
    copies += [(_without(history, fields), round(number * MISSING_SHARE)) for fields in MISSING]
    drawn = [_draw(copy, retention_days, columns, wanted, rng, outcomes_of) for copy, wanted in copies]
    return Examples(drawn[0], joined(drawn))


class Trained(NamedTuple):
    """A model, and a test of how it was made: forecasts for cohorts that had been left out, one part after another.

    ``part`` is the part that each origin is of.
    """

    model: LearnedModel
    unseen: Origins
    forecasts: Forecasts
    part: Ints


def train_model(cohorts: Mapping[str, Examples], on_step: Callable[[], None] = lambda: None) -> Trained:
    """Train on all these cohorts. ``on_step`` is called after each of the ``training_steps``.

    Returns:
        The model, and its test. The intervals' margins come from the test, so the test says nothing about the intervals.
    """
    cohorts = cohorts if len(cohorts) > 1 else split(*cohorts.values())
    names = sorted(cohorts)
    raw: list[Forecasts] = []
    of: list[Origins] = []
    for left_out in folds(names):
        seen = joined([cohorts[name].all for name in names if name not in left_out])
        left = joined([cohorts[name].real for name in left_out])
        raw.append(raw_forecasts(*_fit(seen, on_step), left))
        of.append(left)
    unseen = joined(of)
    made = Forecasts._make(np.concatenate(values) for values in zip(*raw, strict=True))
    median, lower, upper = _fit(joined([cohorts[name].all for name in names]), on_step)
    part = np.repeat(np.arange(len(of)), [len(left.score) for left in of])
    return Trained(LearnedModel(feature_names(), median, lower, upper, margins(made, unseen, part)), unseen, made, part)


def training_steps(number: int) -> int:
    """How many steps it takes to train on this number of cohorts."""
    parts = FOLDS if number == 1 else min(FOLDS, number)
    return 3 * (parts + 1)


def _fit(seen: Origins, on_step: Callable[[], None]) -> tuple[BoostedTrees, BoostedTrees, BoostedTrees]:
    """Trees for the median and both ends of the interval of the change from what is carried forward."""
    from app.predictions.fit_trees import Target, fit_trees  # noqa: PLC0415 - scikit-learn: only where a model is trained

    def trees(target: Target) -> BoostedTrees:
        fitted = fit_trees(seen.features, seen.outcome - seen.carried, target)
        on_step()
        return fitted

    return trees(Target.MEDIAN), trees(Target.LOWER), trees(Target.UPPER)


def folds(names: Sequence[str]) -> list[Sequence[str]]:
    """The cohorts in at most ``FOLDS`` groups."""
    return [names[start::FOLDS] for start in range(min(FOLDS, len(names)))]


def split(cohort: Examples) -> dict[str, Examples]:
    """A single cohort's students in ``FOLDS`` parts, which take the part of cohorts. Of ``FOLDS`` or more, none is empty."""
    students = np.unique(cohort.real.student)  # some of the history's rows have no origins
    rows = [np.searchsorted(students, each.student) for each in cohort]
    return {
        str(part): Examples(*(each.take(np.flatnonzero(row % FOLDS == part)) for each, row in zip(cohort, rows, strict=True)))
        for part in range(FOLDS)
    }


def students_of(cohort: Examples) -> int:
    """How many students a cohort's origins are of."""
    return len(np.unique(cohort.real.student))


def _without(history: DailyHistory, fields: tuple[str, ...]) -> DailyHistory:
    """A copy in which a kind of evidence is missing."""
    return history_of(dict(history.facts) | {name: np.zeros_like(history.facts[name]) for name in fields}, history.last)


def _draw(
    history: DailyHistory, retention_days: int, columns: Ints, number: int, rng: np.random.Generator, outcomes_of: OutcomesOf
) -> Origins:
    """About ``number`` origins with evidence, of up to ``STUDENTS_AT_ONCE`` students."""
    yesterday = peers(history, retention_days, columns - 1)
    students = np.sort(rng.permutation(history.students)[:STUDENTS_AT_ONCE])
    found = origins(some_students(history, students), retention_days, columns, yesterday, outcomes_of)
    rows = rng.permutation(len(found.score))[:number]
    return found.take(rows)._replace(student=students[found.student[rows]])
