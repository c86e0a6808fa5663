"""Publishes, once a day, the statistics of each cohort that its students see."""

from collections.abc import Iterator

import numpy as np

from app.analytics.publication import version_to_publish
from app.analytics.published_store import PublishedStore
from app.clock import Day
from app.consent.consent import FEWEST_IN_STATISTICS
from app.mastery.rankings import Metric
from app.mastery.stores import MasteryStores
from app.storage.scripts import slices

COHORTS_PER_READ = 1_000  # a millisecond of the server's time


def publish_statistics(tenant: str, *, stores: MasteryStores, published: PublishedStore, today: Day) -> Iterator[int]:
    """Publish the statistics of the cohorts that were not looked at today; of none before all scores are of today.

    An abandoned iteration is continued by a new one.

    Yields:
        After each cohort, how many students are in its statistics.
    """
    if stores.rankings.day(tenant) != today:
        return
    for some in slices(stores.scores.cohorts(tenant), COHORTS_PER_READ):
        for cohort in published.unchecked(tenant, some, today):
            yield _publish_cohort(tenant, cohort, stores=stores, published=published, today=today)


def _publish_cohort(tenant: str, cohort: str, *, stores: MasteryStores, published: PublishedStore, today: Day) -> int:
    """Returns how many of the cohort's students are in statistics."""
    begun = published.begin(tenant, cohort, today)
    present = {metric: np.array(stores.rankings.values(tenant, cohort, metric), dtype=np.uint32) for metric in Metric}
    students = len(present[Metric.MASTERY])
    if students < FEWEST_IN_STATISTICS:
        published.withhold(tenant, cohort, begun)
    else:
        published.publish(tenant, cohort, begun, version_to_publish(begun.published, present))
    return students
