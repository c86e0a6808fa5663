"""The statistics of cohorts that students see, in Redis: a version a day, which has the sorted values without names.

Fields of a cohort's hash:
    the name of a metric  the values that were published last: little-endian, 4 bytes each, in millionths
    <metric> sums         the sum of these values, and that of their squares
    components            the day of the version that the components are of: if it is an earlier one, this one has mastery only
    day                   the day of the version
    withheld              1: a student has withdrawn or was erased since, so it is not shown
    checked               the latest day on which it was decided whether there is a new version; a decision about
                          ``cohort_statistics`` and an erasure remove it, so that the next run decides again
    reading               token of the process that decides now; a withdrawal or an erasure removes it
Values that are not shown any more stay, to compare the next ones with: students who kept them could subtract. They are deleted
after the retention: the evidence that they were computed from has expired.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple, cast

import numpy as np
import redis

from app.analytics.publication import Values, Version
from app.clock import Day
from app.consent.consent import FEWEST_IN_STATISTICS
from app.mastery.rankings import Metric, Ranking
from app.storage.keys import Keys
from app.storage.scripts import load_script, run_script, slices

# After the cohort was last looked at. So those of a cohort that has ended disappear, and after an outage of some days the next
# version is still compared with the last one.
KEPT = timedelta(days=7)
COHORTS_PER_DROP = 1_000  # a millisecond of the server's time
_STORED_AS = np.dtype("<u4")

_log = logging.getLogger(__name__)


class Published(NamedTuple):
    """What was published of a cohort.

    Attributes:
        day: the day of the scores.
        rankings: by metric, of at least five values; without students if the metric was not published.
    """

    day: Day
    rankings: Mapping[Metric, Ranking]


class Begun(NamedTuple):
    """A cohort that is looked at on a day, and the values of it that were published last."""

    token: str
    day: Day
    published: Version


class PublishedStore:
    """The published statistics of all tenants. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str, rule: str, retention_days: int) -> None:
        """``rule`` says who is in statistics: see ``rule_of``."""
        self._redis = client
        self._keys = Keys(key_prefix)
        self._rule = rule
        self._retention_days = retention_days
        folder = Path(__file__).parent
        self._read = load_script(client, folder / "read_published.lua")
        self._end = load_script(client, folder / "end_publication.lua")

    def read(self, tenant: str, cohort: str, values: Mapping[Metric, int | None]) -> Published | None:
        """Read the statistics of a cohort by some metrics, and the place of a student's ``values``: in millionths, or None.

        Returns:
            Them; None if there is nothing, if it is withheld, or if it is damaged.
        """
        arguments: list[Any] = []
        for metric, value in values.items():
            arguments += (metric, "" if value is None else value)
        (reply,) = run_script(self._redis, self._read, [([self._key(tenant, cohort)], arguments)])
        if reply is None:
            return None
        day, *replies = reply
        try:
            return Published(int(day), {metric: _ranking(each) for metric, each in zip(values, replies, strict=True)})
        except ValueError:
            _log.error("published statistics of a cohort of %s cannot be read", tenant)
            return None

    def unchecked(self, tenant: str, cohorts: Sequence[str], today: Day) -> list[str]:
        """Those of these cohorts that were not looked at today, in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for cohort in cohorts:
            pipeline.hget(self._key(tenant, cohort), "checked")
        checked = zip(cohorts, pipeline.execute(), strict=True)
        return [cohort for cohort, day in checked if day != b"%d" % today]

    def begin(self, tenant: str, cohort: str, today: Day) -> Begun:
        """Begin to look at a cohort: before its present values are read."""
        key, token = self._key(tenant, cohort), token_hex(8)
        pipeline = self._redis.pipeline()
        pipeline.hset(key, "reading", token)
        pipeline.expire(key, KEPT)
        # What has expired is forgotten here, too.
        places = self._keys.published_places(tenant)
        pipeline.zadd(places, {f"{cohort}{self._rule}": today})
        pipeline.zremrangebyscore(places, "-inf", today - KEPT.days - 1)
        pipeline.hmget(key, ["day", "components", *Metric])
        day, components, *encoded = pipeline.execute()[-1]
        try:
            return Begun(token, today, self._retained(day, components, encoded, today))
        except ValueError:
            _log.error("published statistics of a cohort of %s cannot be read, and are not compared with new ones", tenant)
            return Begun(token, today, {})

    def _retained(self, day: bytes | None, components: bytes | None, encoded: Sequence[bytes | None], today: Day) -> Version:
        """What was published last of mastery and of the components; without what is older than the retention."""
        days = {metric: day if metric is Metric.MASTERY else components for metric in Metric}
        return {
            metric: _decoded(values)
            for (metric, of), values in zip(days.items(), encoded, strict=True)
            if values is not None and of is not None and int(of) > today - self._retention_days
        }

    def publish(self, tenant: str, cohort: str, begun: Begun, version: Version) -> bool:
        """End to look at a cohort, and publish a version; an empty one: the former one stays.

        Returns:
            False if a student has withdrawn or was erased since the beginning, or if another process has begun: then nothing is
            stored.
        """
        fields: dict[str, Any] = {metric: values.astype(_STORED_AS).tobytes() for metric, values in version.items()}
        fields |= {_sums_of(metric): _sums(values) for metric, values in version.items()}
        if Metric.MASTERY in version:
            fields["day"] = begun.day
        if len(version) > 1:
            fields["components"] = begun.day
        return self._ended(tenant, cohort, begun, fields)

    def withhold(self, tenant: str, cohort: str, begun: Begun) -> bool:
        """End to look at a cohort, and show nothing of it until the next version. Returns False as ``publish`` does."""
        return self._ended(tenant, cohort, begun, {"withheld": 1})

    def drop(self, tenant: str) -> None:
        """Delete what was published of all cohorts of the tenant, also of those that have ended."""
        places = self._keys.published_places(tenant)
        for some in slices(cast("list[bytes]", self._redis.zrange(places, 0, -1)), COHORTS_PER_DROP):
            self._redis.unlink(*(self._keys.published(tenant, place.decode()) for place in some))
        self._redis.unlink(places)

    def _ended(self, tenant: str, cohort: str, begun: Begun, fields: Mapping[str, Any]) -> bool:
        old = [
            name
            for metric in Metric
            if metric not in fields and metric not in begun.published
            for name in (metric, _sums_of(metric))
        ]
        arguments: list[Any] = [begun.token, begun.day, len(old), *old]
        for name, value in fields.items():
            arguments += (name, value)
        (is_stored,) = run_script(self._redis, self._end, [([self._key(tenant, cohort)], arguments)])
        return bool(is_stored)

    def _key(self, tenant: str, cohort: str) -> str:
        return self._keys.published(tenant, f"{cohort}{self._rule}")


def _decoded(encoded: bytes) -> Values:
    """The values; ValueError if they are damaged."""
    values = np.frombuffer(encoded, _STORED_AS)
    if 0 < len(values) < FEWEST_IN_STATISTICS:
        raise ValueError
    return values


def _ranking(reply: list[Any]) -> Ranking:
    """The ranking of a reply of ``read_published.lua``. Raises ValueError if it is damaged."""
    size, sums, around, value, below, equal = reply
    count, rest = divmod(size, _STORED_AS.itemsize)
    if rest or 0 < count < FEWEST_IN_STATISTICS:
        raise ValueError
    total, squares = map(int, sums.split()) if count else (0, 0)
    quartiles = tuple(zip(around[::2], around[1::2], strict=True))
    return Ranking(count, total, squares, quartiles, int(value) if value else None, below=below, equal=equal)


def _sums_of(metric: Metric) -> str:
    return f"{metric} sums"


def _sums(values: Values) -> str:
    wide = values.astype(np.uint64)  # holds the squares of 18 million students
    return f"{wide.sum()} {(wide * wide).sum()}"
