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

# A group with fewer past errors than this takes those of all with the same components, and these those of all.
FEWEST_ERRORS = 300

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
    """A number for each group, for each set of components, and for all others."""

    groups: dict[Group, float]
    sets: dict[int, float]
    overall: float

    def of(self, group: Ints) -> Floats:
        """The number of each forecast's group; of the same components, or of all, where its group has none."""
        every = range(int(group.max(initial=0)) + 1)
        return np.array([self.groups.get(at, self.sets.get(at // GROUPS_PER_SET, self.overall)) for at in every])[group]


def per_group(errors: Floats, group: Ints, measure: Callable[[Floats, bool], float]) -> PerGroup:
    """Measure past errors, (forecasts), of each group and each set of components that has enough, and of all; at least one.

    ``measure`` is also told whether these are of one group that is settled.

    Returns:
        What was measured.
    """

    def each(of: Ints, settled: Callable[[int], bool]) -> dict[int, float]:
        names, counts = np.unique(of, return_counts=True)
        return {name: measure(errors[of == name], settled(name)) for name in names[counts >= FEWEST_ERRORS].tolist()}

    return PerGroup(each(group, is_settled), each(group // GROUPS_PER_SET, lambda _set: False), measure(errors, False))


def _history(part: int) -> str:
    if part == 0:
        return f"less than {HISTORY_FROM[0]} days"
    if part == len(HISTORY_FROM):
        return f"{HISTORY_FROM[-1]} days and more"
    return f"{HISTORY_FROM[part - 1]} to {HISTORY_FROM[part] - 1} days"
