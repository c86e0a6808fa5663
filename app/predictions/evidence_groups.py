"""Groups of forecasts that are alike: what is known of the student, where the mastery goes, and for how long it is known. Pure.

Past errors are compared within a group, so that an interval is as wide as errors of such forecasts are: "Mondrian" conformal
prediction. Source: V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World" (2005), section 4.5.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from msgspec import Struct

from app.mastery.formula import Components
from app.mastery.trend import STABLE_WITHIN, Trend
from app.predictions.daily_history import Floats, Ints, Mask

# The first day of each further part of a history: two weeks are what a trend needs, six what an assessment takes to follow.
HISTORY_FROM = (14, 45)
TRENDS = (Trend.DECLINING, Trend.STABLE, Trend.IMPROVING)
_PARTS = len(HISTORY_FROM) + 1
GROUPS_PER_SET = len(TRENDS) * _PARTS  # groups with the same components

# A group with fewer past errors than this is unknown, and takes the widest interval that students with as long a history have.
# Other groups are no substitute: students with the same components and another trend may be far more certain. Few errors make
# an interval wide (``conformal.py``), so 50 are enough.
FEWEST_ERRORS = 50

Group: TypeAlias = int


def groups(known: Mask, trend_slope: Floats, history_days: Floats) -> Ints:
    """The group of each forecast: (4, …), (…), (…) → (…)."""
    bits = (known * (1 << np.arange(len(Components._fields))).reshape(-1, *[1] * (known.ndim - 1))).sum(axis=0)
    trends = 1 + (trend_slope > STABLE_WITHIN) - (trend_slope < -STABLE_WITHIN)
    return np.asarray((bits * len(TRENDS) + trends) * _PARTS + np.digitize(history_days, HISTORY_FROM))


def describe(group: Group) -> str:
    """The group in words: "completion, quiz; stable; 14 to 44 days"."""
    rest, part = divmod(group, _PARTS)
    bits, trend = divmod(rest, len(TRENDS))
    known = ", ".join(name for at, name in enumerate(Components._fields) if bits >> at & 1)
    return f"{known}; {TRENDS[trend]}; {_history(part)}"


def is_settled(group: Group) -> bool:
    """Whether the group's students have a long history, the last of its parts."""
    return group % _PARTS == _PARTS - 1


class PerGroup(Struct, frozen=True):
    """By how much intervals are widened.

    Attributes:
        groups: in each group with enough errors.
        histories: the most of these in each part of the history.
        overall: by the errors of all.
    """

    groups: dict[Group, float]
    histories: dict[int, float]
    overall: float

    def of(self, group: Ints) -> Floats:
        """That of each forecast's group; where it has none, the most of the same part of the history, or that of all."""
        every = range(int(group.max(initial=0)) + 1)
        return np.array([self.groups.get(at, self.histories.get(at % _PARTS, self.overall)) for at in every])[group]


def per_group(group: Ints, measure: Callable[[Ints, bool], float]) -> PerGroup:
    """Measure past errors, whose groups these are: of each group that has enough, and of all; at least one.

    ``measure`` takes the errors' rows, and whether they are of one group that is settled.

    Returns:
        What was measured.
    """
    names, counts = np.unique(group, return_counts=True)
    groups = {
        name: measure(np.flatnonzero(group == name), is_settled(name)) for name in names[counts >= FEWEST_ERRORS].tolist()
    }
    histories: dict[int, float] = {}
    for name, value in groups.items():
        histories[name % _PARTS] = max(value, histories.get(name % _PARTS, value))
    return PerGroup(groups, histories, measure(np.arange(len(group)), False))


def _history(part: int) -> str:
    if part == 0:
        return f"less than {HISTORY_FROM[0]} days"
    if part == len(HISTORY_FROM):
        return f"{HISTORY_FROM[-1]} days and more"
    return f"{HISTORY_FROM[part - 1]} to {HISTORY_FROM[part] - 1} days"
