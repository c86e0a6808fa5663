"""What cohorts' statistics are made of: a ranking of the students by each metric, of those who allow ``cohort_statistics``."""

from enum import StrEnum
from typing import NamedTuple

from app.clock import Day
from app.mastery.evidence import MILLIONTHS
from app.mastery.formula import DECIMALS, Components


class Metric(StrEnum):
    """What students are ranked by: mastery, or one of its components."""

    MASTERY = "mastery"
    COMPLETION = "completion"
    QUIZ = "quiz"
    QUALITY = "quality"
    CONSISTENCY = "consistency"


COMPONENT_METRICS = tuple(Metric(name) for name in Components._fields)


def millionths(score: float) -> int:
    """The whole millionths of a score, as answers have it: rounding ``score * MILLIONTHS`` would settle halves otherwise."""
    return round(round(score, DECIMALS) * MILLIONTHS)


class Ranking(NamedTuple):
    """A cohort's ranking by one metric, and the place of a value in it. All values are in millionths.

    Attributes:
        students: how many are in it.
        total: the sum of their values.
        squares: the sum of the squares.
        quartiles: of each quartile, the values between which it lies: at the ranks ⌊h⌋ and ⌊h⌋ + 1, h = q · (students − 1),
            counted from 0, lowest first; empty without students.
        value: what is compared: that of the student in the ranking, else the one given; None without either.
        is_ranked: whether the student is in the ranking.
        below: students with a lower value.
        equal: students with the same value, also the student themselves.
    """

    students: int
    total: int
    squares: int
    quartiles: tuple[tuple[int, int], ...] = ()
    value: int | None = None
    is_ranked: bool = False
    below: int = 0
    equal: int = 0


class CohortRankings(NamedTuple):
    """A cohort's rankings of one moment.

    Attributes:
        day: the oldest day of any score of the tenant; None without scores.
        by_metric: those that were asked for; without students if nobody of the cohort is in them.
    """

    day: Day | None
    by_metric: dict[Metric, Ranking]
