"""What work for each component is assumed to take and to leave behind as evidence. Pure. Reasons: docs/decisions/0027."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from app.mastery.evidence import MILLIONTHS
from app.mastery.formula import Components

COMPLETION, QUIZ, QUALITY, CONSISTENCY = Components._fields


class LearningAction(StrEnum):
    """What to do for a component."""

    PRACTICE = "practice"
    REVIEW = "review"
    REFACTOR = "refactor"
    SCHEDULE = "schedule"


class Effort(NamedTuple):
    """A unit of work: an exercise, a round of ten questions, a revised submission, an active day.

    It takes ``minutes``, is ``amount`` exercises, questions, submissions or days, and adds ``good`` of ``each`` to the evidence
    of a component. Learners who have reviewed are assumed to do nine tenths right.
    """

    action: LearningAction
    minutes: int
    amount: int
    good: int
    each: int


EFFORTS: Mapping[str, Effort] = {
    COMPLETION: Effort(LearningAction.PRACTICE, 20, 1, 1, 0),  # one more of the exercises that there are
    QUIZ: Effort(LearningAction.REVIEW, 20, 10, 9, 10),
    QUALITY: Effort(LearningAction.REFACTOR, 45, 1, 9 * MILLIONTHS // 10, MILLIONTHS),
    CONSISTENCY: Effort(LearningAction.SCHEDULE, 15, 1, 1, 0),
}


class Exercises(NamedTuple):
    """How many exercises are done, and how many there are."""

    done: int
    total: int


FIRST_EXERCISES = Exercises(0, 10)  # assumed while no evidence says how many there are
