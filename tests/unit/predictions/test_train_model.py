"""What a model learns from, and which forecasts say how good it is."""

from collections.abc import Mapping

import numpy as np
import pytest

from app.predictions.daily_history import Floats
from app.predictions.evidence_groups import GROUPS_PER_SET
from app.predictions.features import HORIZON_DAYS, feature_names, outlook
from app.predictions.learned_model import LearnedModel, margins
from app.predictions.origins import Origins, joined
from app.predictions.peers import peers
from app.predictions.train_model import FOLDS, MISSING, MISSING_SHARE, Examples, examples, train_model, training_steps
from tests.unit.predictions.cohorts import made_up, random_history

RETENTION, DAYS, NUMBER = 30, 60, 1_000
COLUMNS = np.arange(DAYS)
HISTORY = random_history(40, DAYS)


def trained(cohorts: Mapping[str, Examples]) -> LearnedModel:
    return train_model(cohorts).model


def drawn(seed: int = 0) -> Examples:
    return examples(HISTORY, RETENTION, COLUMNS, NUMBER, seed)


def values_of(of: Origins, name: str) -> Floats:
    return of.features[:, feature_names().index(name)]


def cohort(rows: int, change: float, seed: int) -> Examples:
    """A cohort whose scores all change by the same, with features that have nothing to do with it."""
    features = np.random.default_rng(seed).normal(size=(rows, 3))
    of = made_up(np.full(rows, 0.5 + change), features, student=np.arange(rows))
    return Examples(of, of)


def test_origins_are_what_the_features_say() -> None:
    """Each real one is a student on a day whose outcome is known; the peers are those of the day before."""
    real = drawn().real
    seen = outlook(HISTORY, RETENTION, COLUMNS, peers(HISTORY, RETENTION, COLUMNS - 1))
    np.testing.assert_array_equal(real.features, seen.features[real.student, real.column])
    assert real.column.max() < DAYS - HORIZON_DAYS
    assert not np.isnan(real.outcome).any()
    later = outlook(HISTORY, RETENTION, COLUMNS, [None] * DAYS).score
    np.testing.assert_array_equal(real.outcome, later[real.student, real.column + HORIZON_DAYS])
    assert len({*zip(real.student.tolist(), real.column.tolist(), strict=True)}) == len(real.score)


def test_the_same_seed_draws_the_same_examples() -> None:
    """Another one draws others."""
    one, same, other = drawn(), drawn(), drawn(seed=1)
    np.testing.assert_array_equal(one.all.features, same.all.features)
    assert not np.array_equal(one.all.student, other.all.student)


@pytest.mark.parametrize(("at", "component"), [(0, "quiz"), (1, "quality"), (2, "completion")])
def test_copies_lack_a_kind_of_evidence(at: int, component: str) -> None:
    """In features of the student and of the peers, in the group and in the outcome; other kinds are there."""
    found = drawn()
    size = round(NUMBER * MISSING_SHARE)
    start = len(found.real.score) + at * size
    copy = found.all.take(np.arange(start, start + size))
    assert np.isnan(values_of(copy, component)).all()
    assert np.isnan(values_of(copy, f"days_since_{component}")).all()
    field = {"quiz": "asked", "quality": "submissions", "completion": "total"}[component]
    shares = [name for name in feature_names() if name.startswith(f"peers_{field}_")]
    assert shares
    for name in shares:
        assert not np.nan_to_num(values_of(copy, name)).any()
    highest = {"quiz": 0.7, "quality": 0.8, "completion": 0.6}[component]
    assert copy.outcome.max() <= highest
    for other in {"quiz", "quality", "completion"} - {component}:
        assert not np.isnan(values_of(copy, other)).all()


def test_sizes_of_what_is_drawn() -> None:
    """Real origins and one share for each copy; a small cohort gives what it has."""
    found = drawn()
    assert len(found.all.score) == NUMBER
    assert len(found.real.score) == round(NUMBER * (1 - MISSING_SHARE * len(MISSING)))
    few = examples(random_history(1, 10), RETENTION, np.arange(10), NUMBER, 0)
    assert 0 < len(few.real.score) <= 10 - HORIZON_DAYS


def test_the_same_input_gives_the_same_model() -> None:
    """Also in another order of the cohorts."""
    cohorts = {"b": drawn(1), "a": drawn(2)}
    model = trained(cohorts)
    assert trained(dict(reversed(cohorts.items()))) == model
    assert model.features == feature_names()
    assert any(len(tree.feature) > 1 for tree in model.median.trees)


def test_margins_are_those_of_cohorts_that_were_left_out() -> None:
    """One cohort never changes, the other by 0.2: each would have been missed by 0.2 by a model that knew the other only."""
    model = trained({"same": cohort(600, 0.0, 0), "better": cohort(600, 0.2, 1)})
    assert model.margins.overall == pytest.approx(0.2, abs=0.01)


def test_margins_know_which_cohorts_errors_are_of() -> None:
    """Students with a long history: half of them in each cohort, or nearly all in one."""
    settled = GROUPS_PER_SET - 1
    rng = np.random.default_rng(0)

    def of(rows: int) -> Examples:
        found = made_up(rng.uniform(0.4, 0.6, rows), rng.normal(size=(rows, 1)), group=settled)
        return Examples(found, found)

    for sizes, several in (([900, 900], True), ([1_700, 100], False)):
        found = train_model({str(at): of(rows) for at, rows in enumerate(sizes)})
        as_if_of_one = margins(found.forecasts, found.unseen, np.zeros(sum(sizes), np.int64))
        assert found.model.margins.overall == as_if_of_one.overall
        assert (found.model.margins.groups[settled] < as_if_of_one.groups[settled]) is several


def test_a_single_cohort_is_split_by_students() -> None:
    """Students are told apart by a feature; every second one changes by 0.2. A model that had seen them would not miss."""
    student = np.repeat(np.arange(2 * FOLDS), 250)
    outcome = np.where(student % 2, 0.7, 0.5)
    of = made_up(outcome, student.reshape(-1, 1).astype(np.float64), student=student)
    model = trained({"all": Examples(of, of)})
    change = model.median.predict(np.array([[0.0], [1.0]]))
    assert change == pytest.approx([0.0, 0.2], abs=0.01)
    assert model.margins.overall == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("number", [1, 2, 3, FOLDS, FOLDS + 2])
def test_every_step_is_told(number: int) -> None:
    """As many as a progress bar was told beforehand."""
    told: list[int] = []
    train_model({str(each): cohort(40, 0.0, each) for each in range(number)}, on_step=lambda: told.append(1))
    assert len(told) == training_steps(number)


def test_copies_train_and_do_not_calibrate() -> None:
    """The margins are of real origins: those of copies would answer for courses that do not exist."""
    plain, other = cohort(600, 0.0, 0), cohort(600, 0.0, 1)
    copies = cohort(600, 0.5, 2).all
    model = trained({"a": Examples(plain.real, joined([plain.all, copies])), "b": other})
    assert model.margins.overall <= 0.0
    assert model.upper.predict(copies.features).mean() == pytest.approx(0.5, abs=0.01)
