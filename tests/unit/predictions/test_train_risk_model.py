"""What the model of risk learns from, and that it is calibrated on cohorts that it has not seen."""

from collections.abc import Callable

import numpy as np
import pytest

from app.predictions.daily_history import Floats, Ints, history_of
from app.predictions.features import feature_names
from app.predictions.origins import joined, origins
from app.predictions.peers import peers
from app.predictions.risk import RISK_DAYS, risk_outcomes
from app.predictions.train_model import FOLDS, Examples
from app.predictions.train_risk_model import DAYS_BETWEEN, risk_examples, risk_training_steps, train_risk_model
from tests.unit.predictions.cohorts import LAST, made_up, random_facts, random_history

RETENTION, DAYS = 30, 60
COLUMNS = np.arange(DAYS)


def cohort(share: Floats, seed: int) -> Examples:
    """Two kinds of students, told apart by a feature, and the share of each that is at risk."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, 4_000)
    came = (rng.random(len(kind)) < share[kind]).astype(np.float64)
    of = made_up(came, kind.reshape(-1, 1).astype(np.float64), student=np.arange(len(kind)))
    return Examples(of, of)


def test_examples_have_what_came_as_their_outcome() -> None:
    """Every third day, as long as the day two weeks later is known; also those of copies are 0 or 1."""
    history = random_history(40, DAYS)
    found = risk_examples(history, RETENTION, COLUMNS, 1_000, 0)
    of = found.real
    assert set((of.column % DAYS_BETWEEN).tolist()) == {0}
    assert of.column.max() < DAYS - RISK_DAYS
    np.testing.assert_array_equal(of.outcome, risk_outcomes(history, RETENTION, COLUMNS)[of.student, of.column])
    assert set(found.all.outcome.tolist()) == {0.0, 1.0}
    assert len(found.all.score) > len(of.score)


def test_probabilities_are_what_comes() -> None:
    """Of each kind of student, as often as in the cohorts that it learned from."""
    share = np.array([0.1, 0.7])
    model = train_risk_model({name: cohort(share, seed) for seed, name in enumerate("abc")}).model
    assert model.probability(np.array([[0.0], [1.0]])) == pytest.approx(share, abs=0.03)
    assert model.features == feature_names()


def test_cohorts_that_were_left_out_correct_what_is_too_sure() -> None:
    """In each, the other kind of student is at risk: who learned from one would be wrong about the other."""
    cohorts = {"a": cohort(np.array([0.1, 0.9]), 0), "b": cohort(np.array([0.9, 0.1]), 1)}
    trained = train_risk_model(cohorts)
    assert trained.model.scaling.slope < 0
    assert len(trained.log_odds) == len(trained.unseen.outcome) == sum(len(each.real.outcome) for each in cohorts.values())


def test_the_same_input_gives_the_same_model() -> None:
    """Also in another order of the cohorts."""
    cohorts = {
        name: risk_examples(random_history(40, DAYS, seed), RETENTION, COLUMNS, 500, 0) for seed, name in enumerate("ab")
    }
    assert train_risk_model(dict(reversed(cohorts.items()))).model == train_risk_model(cohorts).model


@pytest.mark.parametrize("came", [0.0, 1.0])
def test_where_all_outcomes_are_the_same(came: float) -> None:
    """The probability is close to it, and no certainty; also where there is no origin at all."""
    same = cohort(np.array([came, came]), 0)
    model = train_risk_model({"a": same, "b": same}).model
    assert model.probability(np.zeros((1, 1))) == pytest.approx([came], abs=0.01)
    nothing = same.real.take(np.arange(0))
    model = train_risk_model({"a": Examples(nothing, nothing)}).model
    assert model.probability(np.zeros((1, 1))) == pytest.approx([0.5])


@pytest.mark.parametrize("number", [1, 2, FOLDS, FOLDS + 2])
def test_every_step_is_told(number: int) -> None:
    """As many as a progress bar was told beforehand."""
    told: list[int] = []
    train_risk_model({str(each): cohort(np.array([0.2, 0.4]), each) for each in range(number)}, lambda: told.append(1))
    assert len(told) == risk_training_steps(number)


def test_copies_train_and_do_not_calibrate() -> None:
    """The scaling is that of real origins: copies would answer for courses that do not exist."""
    plain = {name: cohort(np.array([0.2, 0.6]), seed) for seed, name in enumerate("ab")}
    with_copies = {name: Examples(each.real, joined([each.all, each.all])) for name, each in plain.items()}
    assert len(train_risk_model(with_copies).unseen.outcome) == sum(len(each.real.outcome) for each in plain.values())


def test_nothing_later_changes_an_answer() -> None:
    """All facts after the cut-off are shuffled between students, or deleted: the answers stay as they are."""
    cut = 30
    cohorts = {
        name: risk_examples(random_history(40, DAYS, seed), RETENTION, COLUMNS, 2_000, 0) for seed, name in enumerate("ab")
    }
    model = train_risk_model(cohorts).model
    assert any(len(tree.feature) > 1 for tree in model.log_odds.trees)
    facts, order = random_facts(40, DAYS), np.random.default_rng(0).permutation(40)

    def answers(later: Callable[[Ints], Ints]) -> Floats:
        """Those of all days up to the cut-off."""
        changed = {name: np.hstack([of[:, : cut + 1], later(of[:, cut + 1 :])]) for name, of in facts.items()}
        history, columns = history_of(changed, LAST), np.arange(cut + 1)
        of = origins(history, RETENTION, columns, peers(history, RETENTION, columns - 1), risk_outcomes)
        return model.probability(of.features)

    as_it_was = answers(lambda values: values)
    assert len(np.unique(as_it_was)) > 5
    np.testing.assert_array_equal(answers(lambda values: values[order]), as_it_was)
    np.testing.assert_array_equal(answers(np.zeros_like), as_it_was)
