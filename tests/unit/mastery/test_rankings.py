"""What students are ranked by is what answers say."""

from itertools import product

from app.mastery.formula import Components, breakdown
from app.mastery.rankings import Metric, millionths
from app.mastery.score_store import Score


def test_a_ranked_value_is_that_of_the_answer() -> None:
    """Also where the mean of some submissions is half a millionth, which is rounded up or down."""
    for total, submissions in product((1, 7, 533_333, 733_335, 1_066_667), (1, 2, 4, 8)):
        quality = total / submissions / 1_000_000
        answered = breakdown(Components(quality=quality))["quality"].score
        assert answered is not None
        assert millionths(quality) / 1_000_000 == answered


def test_the_order_of_a_score_is_that_of_the_metrics() -> None:
    """-1 without evidence."""
    score = Score("s-1", 1, 2, 0.5, Components(completion=0.1, quiz=0.2, consistency=0.4))
    assert dict(zip(Metric, score.millionths, strict=True)) == {
        Metric.MASTERY: 500_000,
        Metric.COMPLETION: 100_000,
        Metric.QUIZ: 200_000,
        Metric.QUALITY: -1,
        Metric.CONSISTENCY: 400_000,
    }
