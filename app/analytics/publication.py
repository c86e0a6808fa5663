"""Which values of a cohort are published for its students: never a difference that is one to four students. Pure.

Students may keep every version, and subtract one from another. docs/decisions/0033 has the reasons for these rules.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from app.consent.consent import FEWEST_IN_STATISTICS
from app.mastery.rankings import COMPONENT_METRICS, Metric

Values = NDArray[np.uint32]  # of a ranking: sorted, the lowest first; in millionths
Version = Mapping[Metric, Values]


def version_to_publish(published: Version, present: Version) -> Version:
    """Decide what of the ``present`` values is published in place of those that were ``published`` last, by metric.

    Either all components are published or none: mastery is their weighted sum, so one that is left out could be computed.

    Returns:
        The new version: everything, mastery only, or nothing if the former version has to stay.
    """
    if not _is_large(present[Metric.MASTERY]) or not _may_follow(Metric.MASTERY, published, present):
        return {}
    if all(_may_show(metric, published, present) for metric in COMPONENT_METRICS):
        return present
    return {Metric.MASTERY: present[Metric.MASTERY]}


def differences(before: Values, after: Values) -> tuple[int, int]:
    """How many values are gone, and how many have come. Equal values count as often as they occur."""
    values, place = np.unique(np.concatenate([before, after]), return_inverse=True)
    change = np.bincount(place[len(before) :], minlength=len(values)) - np.bincount(place[: len(before)], minlength=len(values))
    return int(-change[change < 0].sum()), int(change[change > 0].sum())


def _may_show(component: Metric, published: Version, present: Version) -> bool:
    """Nobody's or at least five values of a component hide single students, and what is between two versions has to as well."""
    values = present[component]
    return (len(values) == 0 or _is_large(values)) and _may_follow(component, published, present)


def _may_follow(metric: Metric, published: Version, present: Version) -> bool:
    """Both sides count: with five newcomers and one who has left, the one value that is gone is that of the one."""
    if metric not in published:
        return True
    return all(count == 0 or count >= FEWEST_IN_STATISTICS for count in differences(published[metric], present[metric]))


def _is_large(values: Values) -> bool:
    return len(values) >= FEWEST_IN_STATISTICS
