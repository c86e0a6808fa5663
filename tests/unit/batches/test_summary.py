"""The statistics of a batch, compared with values computed by hand."""

from app.batches.batch import Summary
from app.batches.summary import summarize
from app.mastery.formula import FLOORS, Level, classify


def test_statistics_of_five_scores() -> None:
    """Mean 0.5; deviations 0.4, 0.2, 0, 0.2, 0.4: the mean of their squares is 0.08."""
    assert summarize([0.9, 0.1, 0.5, 0.3, 0.7]) == Summary(
        mean=0.5,
        median=0.5,
        standard_deviation=0.282843,
        lower_quartile=0.3,
        upper_quartile=0.7,
        levels={"beginner": 2, "developing": 1, "competent": 1, "proficient": 0, "expert": 1},
    )


def test_quartiles_are_interpolated() -> None:
    """Of four scores, the lower quartile lies at three quarters of the way from the first to the second."""
    found = summarize([0.0, 0.4, 0.6, 1.0])
    assert found is not None
    assert (found.lower_quartile, found.median, found.upper_quartile) == (0.3, 0.5, 0.7)


def test_one_score_is_each_quartile() -> None:
    """And it does not deviate."""
    found = summarize([0.6])
    assert found is not None
    assert (found.lower_quartile, found.median, found.upper_quartile, found.standard_deviation) == (0.6, 0.6, 0.6, 0.0)


def test_levels_begin_at_their_floors() -> None:
    """Each score has the level that it has anywhere else."""
    scores = [each for floor in FLOORS.values() for each in (floor, floor + 0.000001, max(floor - 0.000001, 0.0))] + [1.0]
    found = summarize(scores)
    assert found is not None
    assert found.levels == {level.value: sum(classify(score) is level for score in scores) for level in Level}


def test_no_scores_have_no_summary() -> None:
    """Every student failed."""
    assert summarize([]) is None
