"""What a forecast looks at: only the student's retained evidence up to the day."""

import numpy as np
import pytest

from app.mastery.facts import DayFacts
from app.predictions.daily_history import DailyHistory, Ints, daily_history, history_of
from app.predictions.features import Outlook, feature_names, outlook
from app.predictions.origins import some_students
from app.predictions.peers import peers
from tests.unit.predictions.cohorts import LAST, random_facts, random_history

DAYS = 150
RETENTIONS = (14, 30, 90)
COLUMNS = np.array([0, 5, 40, 100, 120])


def seen_in(history: DailyHistory, retention: int, columns: Ints = COLUMNS) -> Outlook:
    """All students on these columns, with peers as of the day before."""
    return outlook(history, retention, columns, peers(history, retention, columns - 1))


def changed(columns: slice) -> DailyHistory:
    """The history, with other facts in these columns."""
    facts, others = random_facts(20, DAYS), random_facts(20, DAYS, seed=1)
    for name, values in facts.items():
        values[:, columns] = others[name][:, columns]
    return history_of(facts, LAST)


def assert_same(one: Outlook, other: Outlook) -> None:
    for values, others in zip(one[:-1], other[:-1], strict=True):
        np.testing.assert_array_equal(values, others)


def one_student(days: dict[int, DayFacts], column: int, retention: int = 90) -> dict[str, float]:
    """The features of a student on a column; days are columns."""
    seen = outlook(daily_history([days], 0, DAYS), retention, np.array([column]), [None])
    return dict(zip(seen.names, seen.features[0, 0].tolist(), strict=True))


def test_each_feature_has_a_name_of_its_own() -> None:
    """As many names as columns; no two are equal, and they do not depend on the students."""
    seen = seen_in(random_history(20, DAYS), 90)
    assert len(set(seen.names)) == len(seen.names) == seen.features.shape[-1]
    assert seen.features.shape[:-1] == (20, len(COLUMNS))
    assert feature_names() == seen.names


@pytest.mark.parametrize("retention", RETENTIONS)
def test_no_feature_is_infinite(retention: int) -> None:
    """Also on the first days, for students without evidence, and without peers."""
    history = random_history(20, DAYS)
    columns = np.arange(DAYS)
    for cohort in (peers(history, retention, columns - 1), [None] * DAYS):
        assert not np.isinf(outlook(history, retention, columns, cohort).features).any()
    nothing = outlook(daily_history([{}], 0, DAYS), retention, np.array([5]), [None])
    assert not np.isinf(nothing.features).any()
    assert not nothing.present.any()


@pytest.mark.parametrize("retention", RETENTIONS)
def test_nothing_after_the_day_matters(retention: int) -> None:
    """Other facts on later days leave all features, groups and what is carried forward unchanged."""
    for column in COLUMNS:
        before = seen_in(random_history(20, DAYS), retention, np.array([column]))
        assert_same(before, seen_in(changed(slice(column + 1, DAYS)), retention, np.array([column])))


@pytest.mark.parametrize("retention", RETENTIONS)
def test_nothing_that_has_left_the_window_matters(retention: int) -> None:
    """Other facts on days before the retention window leave everything unchanged: they are deleted by then."""
    column = 120
    before = outlook(random_history(20, DAYS), retention, np.array([column]), [None])
    after = outlook(changed(slice(0, column - retention + 1)), retention, np.array([column]), [None])
    assert_same(before, after)


def test_what_is_retained_does_matter() -> None:
    """The two tests above would pass for features that look at nothing."""
    before = outlook(random_history(20, DAYS), 30, np.array([120]), [None])
    for columns in (slice(120, 121), slice(91, 92)):
        after = outlook(changed(columns), 30, np.array([120]), [None])
        assert not np.array_equal(before.features, after.features, equal_nan=True)


def test_others_do_not_matter() -> None:
    """A student alone has the same features as among others, apart from those of the peers, which are given."""
    history = random_history(20, DAYS)
    cohort = peers(history, 90, COLUMNS - 1)
    together = outlook(history, 90, COLUMNS, cohort)
    for row in (0, 7, 19):
        alone = outlook(some_students(history, np.array([row])), 90, COLUMNS, cohort)
        np.testing.assert_array_equal(alone.features[0], together.features[row])
        assert alone.carried[0].tolist() == together.carried[row].tolist()


def test_features_by_hand() -> None:
    """One student, ten days after a completion of 3 of 8 exercises, five after a quiz of 1 of 2."""
    found = one_student(
        {30: DayFacts(completed=3, total=8, active=1), 35: DayFacts(correct=1, asked=2, active=1, submissions=0)}, 40
    )
    consistency = 2 / 14
    assert found["mastery"] == pytest.approx(0.4 * 3 / 8 + 0.3 / 2 + 0.1 * consistency, abs=1e-6)
    assert (found["completion"], found["quiz"]) == (3 / 8, 1 / 2)
    assert np.isnan(found["quality"])
    assert (found["total"], found["missed"], found["submissions"]) == (8, 5, 0)
    assert (found["days_since_completion"], found["days_since_quiz"], found["days_since_consistency"]) == (10, 5, 5)
    assert np.isnan(found["days_since_quality"])
    assert (found["active_3"], found["active_7"], found["active_30"]) == (0, 1, 2)
    assert found["history_days"] == 11
    assert found["gain_7"] == pytest.approx(0.3 / 2 + 0.1 / 14, abs=2e-6)
    assert np.isnan(found["gain_14"])
    assert found["carried"] == 0
    assert found["leaving_consistency"] == pytest.approx(1 / 14 - 2 / 14)


def test_what_leaves_the_window_is_known_in_advance() -> None:
    """With 14 days retained, the first of two quizzes is gone in seven days: 0.3 · (1 − 1/2) more than now."""
    quizzes = {20: DayFacts(asked=5), 30: DayFacts(correct=5, asked=5)}
    found = one_student(quizzes, 30, retention=14)
    assert found["carried"] == pytest.approx(0.3 * 0.5)
    assert found["leaving_quiz"] == pytest.approx(0.5)
    assert one_student(quizzes, 30, retention=90)["carried"] == 0


def test_missing_evidence_is_nan() -> None:
    """A student who is nothing but active has no ratio of exercises, answers or reviews."""
    found = one_student({10: DayFacts(active=1)}, 10)
    missing = {name for name, value in found.items() if np.isnan(value)}
    without_peers = {name for name in missing if not name.startswith("peers_")}
    assert without_peers == {
        *("completion", "quiz", "quality"),
        *("gain_7", "gain_14"),
        *("days_since_completion", "days_since_quiz", "days_since_quality"),
    }
    assert {name for name in found if name.startswith("peers_")} == missing - without_peers
