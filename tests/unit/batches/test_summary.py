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
    """Of six scores, the lower quartile lies at a quarter of the way from the second to the third."""
    found = summarize([0.0, 0.2, 0.4, 0.6, 0.7, 1.0])
    assert found is not None
    assert (found.lower_quartile, found.median, found.upper_quartile) == (0.25, 0.5, 0.675)


def test_levels_begin_at_their_floors() -> None:
    """Each score has the level that it has anywhere else."""
    scores = [each for floor in FLOORS.values() for each in (floor, floor + 0.000001, max(floor - 0.000001, 0.0))] + [1.0]
    found = summarize(scores)
    assert found is not None
    assert found.levels == {level.value: sum(classify(score) is level for score in scores) for level in Level}


def test_fewer_than_five_scores_have_no_summary() -> None:
    """It would tell much about each of them; also if every student failed."""
    assert summarize([0.6] * 4) is None
    assert summarize([]) is None
