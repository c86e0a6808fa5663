"""How many values lie in each level, and in each bin of a histogram. Pure.

A bin and a level begin with their floor and end before the next one; the last ones have their end, 1.0, too.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from msgspec import Struct

from app.mastery.evidence import MILLIONTHS
from app.mastery.formula import FLOORS, Level
from app.mastery.rankings import millionths

BINS = 10
_END = MILLIONTHS + 1  # above every value
_FLOORS = [edge * MILLIONTHS // BINS for edge in range(BINS)]

# In millionths: the end of each level, and of each bin.
LEVEL_EDGES = (*(millionths(floor) for floor in FLOORS.values() if floor > 0), _END)
BIN_EDGES = (*_FLOORS[1:], _END)


class Bin(Struct, frozen=True):
    """A bin of a histogram, and how many students are in it; the bounds are 0..1."""

    lower: float
    upper: float
    students: int


def levels(below: Sequence[int]) -> dict[Level, int]:
    """The number of values in each level, from the numbers of those below each of ``LEVEL_EDGES``."""
    return dict(zip(Level, _between(below), strict=True))


def histogram(below: Sequence[int]) -> list[Bin]:
    """The number of values in each bin, from the numbers of those below each of ``BIN_EDGES``."""
    return [Bin(at / BINS, (at + 1) / BINS, students) for at, students in enumerate(_between(below))]


def _between(below: Sequence[int]) -> list[int]:
    # They are counted one after the other: one more or less of a score that changes meanwhile, but never less than none.
    return [after - before for before, after in pairwise((0, *accumulate(below, max)))]
