"""Which days a model learns from and is tested on: no outcome of the training is known later than the test begins."""

import numpy as np
import pytest

from app.predictions.features import HORIZON_DAYS
from app.predictions.origins import joined
from app.predictions.split_origins import (
    FEWEST_IN_COHORT,
    FEWEST_RETENTION_DAYS,
    SMALL_COHORTS,
    drawn_origins,
    pooled,
    split_columns,
    weeks_of,
)
from app.predictions.train_model import FOLDS, Examples, split, students_of
from tests.unit.predictions.cohorts import random_history


def test_the_columns_of_a_retention_window() -> None:
    """Of 89 days until yesterday, T = 88: the test is T − 20 … T − 7, the training ends on T − 28."""
    columns = split_columns(89)
    assert (columns.training.tolist(), columns.test.tolist()) == (list(range(35, 61)), list(range(68, 82)))
    assert columns.training[-1] + HORIZON_DAYS < columns.test[0]
    assert columns.test[-1] + HORIZON_DAYS == 88


def test_other_outcomes_come_later() -> None:
    """After 14 days: the test is T − 27 … T − 14, the training ends on T − 42."""
    columns = split_columns(89, 14)
    assert (columns.training.tolist(), columns.test.tolist()) == (list(range(35, 47)), list(range(61, 75)))


@pytest.mark.parametrize("horizon", [7, 14])
@pytest.mark.parametrize("days", [1, 20, 35, 63])
def test_a_short_retention(days: int, horizon: int) -> None:
    """There is nothing to learn from, and no column is before the first."""
    columns = split_columns(days, horizon)
    assert len(columns.training) == 0
    assert days < FEWEST_RETENTION_DAYS - 1
    assert len(split_columns(FEWEST_RETENTION_DAYS - 1).training) == 1
    assert all(0 <= column < days for column in columns.test)


def test_origins_are_drawn() -> None:
    """Of the given days, with known outcomes, at most as many as wanted; the same seed draws the same."""
    history = random_history(20, 89)
    found = drawn_origins(history, 90, np.arange(68, 82), 100, 1)
    again = drawn_origins(history, 90, np.arange(68, 82), 100, 1)
    assert len(found.score) == 100
    assert not np.isnan(found.outcome).any()
    assert set(found.column.tolist()) <= set(range(68, 82))
    assert (
        found.column.tolist() == again.column.tolist() != drawn_origins(history, 90, np.arange(68, 82), 100, 2).column.tolist()
    )


def test_the_weeks_of_a_test() -> None:
    """Two, the earlier one first, with all origins; of a cohort that has none in the later week, too."""
    whole = drawn_origins(random_history(20, 89), 90, np.arange(68, 82), 500, 1)
    early = whole.take(np.flatnonzero(whole.column < 70))
    (first, second), of_early = weeks_of([whole, early])
    assert (set(first.column.tolist()), set(second.column.tolist())) == (set(range(68, 75)), set(range(75, 82)))
    assert len(first.score) + len(second.score) == len(whole.score)
    assert [len(of.score) for of in of_early] == [len(early.score), 0]
    assert weeks_of([]) == []


def test_small_cohorts_are_put_together() -> None:
    """Each part that is left out has enough origins, whoever they are of; none gets lost; cohorts without any do not count."""
    origins = drawn_origins(random_history(60, 89), 90, np.arange(40, 60), 1_000, 0)

    def cohort(number: int) -> Examples:
        some = origins.take(np.arange(number))
        return Examples(some, some)

    sizes = {"none": 0, "one": 1, "small": FEWEST_IN_COHORT - 1, "large": FEWEST_IN_COHORT, "larger": 500}
    cohorts = {name: cohort(number) for name, number in sizes.items()}

    def sizes_of(*names: str) -> dict[str, int]:
        return {name: len(each.real.score) for name, each in pooled({name: cohorts[name] for name in names}).items()}

    assert sizes_of("large", "larger", "none") == {"large": 300, "larger": 500}
    assert sizes_of("one", "small", "larger") == {"larger": 500, SMALL_COHORTS: 300}
    assert sizes_of("one", "large", "larger") == {"larger": 500, SMALL_COHORTS: 301}
    assert sizes_of("one", "small") == {SMALL_COHORTS: 300}
    assert sizes_of("one", "none") == {SMALL_COHORTS: 1}
    assert sizes_of("none") == {}


def test_students_are_numbered_across_small_cohorts() -> None:
    """Each cohort counts its own from 0: of cohorts with one student each, all would be the same one."""
    origins = drawn_origins(random_history(8, 89), 90, np.arange(40, 60), 1_000, 0)
    lone = origins.take(np.flatnonzero(origins.student == 0))
    few = Examples(lone, origins)  # a copy may have students that the real ones do not
    (together,) = pooled({"a": Examples(lone, lone), "b": few, "c": few}).values()
    assert sorted({*together.real.student.tolist()}) == [0, 1, 9]
    assert sorted({*together.all.student.tolist()}) == list(range(17))
    assert students_of(together) == 3


def test_parts_of_a_cohort() -> None:
    """Each has students, whichever rows of the history they are; each student is in one part, with all copies."""
    origins = drawn_origins(random_history(40, 89), 90, np.arange(40, 60), 1_000, 0)
    some = origins.take(np.flatnonzero(origins.student % FOLDS == 0))
    parts = split(Examples(some, joined([some, some])))
    found = [{*each.real.student.tolist()} for each in parts.values()]
    assert sorted(map(len, found)) == [2, 2, 3, 3]
    assert set().union(*found) == {*range(0, 40, FOLDS)}
    assert found == [{*each.all.student.tolist()} for each in parts.values()]
