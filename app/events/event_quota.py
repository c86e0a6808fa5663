"""How many events of a minute a tenant may have, over Kafka and HTTP together. See docs/decisions/0018.

A minute is the one in which events were produced, by the clock: it is the same whenever they are read. What came over HTTP is
counted at the door, before it is produced, and says so in a header; the rest is counted as the ledger takes it.
"""

import math
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import redis

from app.config.quotas import Quotas
from app.errors import EngineError, InvalidInput
from app.storage.keys import Keys
from app.storage.scripts import load_script

MINUTE_SECONDS = 60
# Since a minute's last event was counted: so far apart the partitions of a backlog may be read.
KEPT_SECONDS = 3_600
COUNTED = "mastery.counted"  # the header of a record that was counted at the door


class QuotaExceeded(EngineError):
    """A tenant has sent as many events as it may; ``seconds`` says when the same call may succeed."""

    def __init__(self, quota: int, seconds: int) -> None:
        super().__init__(quota, seconds)
        self.quota = quota
        self.seconds = seconds

    def __str__(self) -> str:
        return f"the tenant may send {self.quota:,} events a minute"


class Use(NamedTuple):
    """Events of a tenant that were produced in a minute, by number since 1970: new ones, and those counted at the door."""

    tenant: str
    minute: int
    quota: int
    new: int
    counted: int


class EventQuota:
    """The door's part: events over HTTP. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str, quotas: Quotas) -> None:
        self._keys = Keys(key_prefix)
        self.quotas = quotas
        self._count = load_script(client, Path(__file__).with_name("count_events.lua"))

    def admit(self, tenant: str, events: int, now: datetime) -> bool:
        """Count events of a tenant. Returns whether there is anything to be counted.

        Counts none and raises QuotaExceeded where they are more than the minute still has, InvalidInput where they are more
        than any minute has.
        """
        if not self.quotas.limits(tenant):
            return False
        quota, (minute, second) = self.quotas.of(tenant), divmod(now.timestamp(), MINUTE_SECONDS)
        if events > quota:  # at no time would there be room
            raise InvalidInput("events", f"are more than the {quota:,} that the tenant may send in a minute")
        is_counted = self._count([self._keys.event_minute(int(minute))], [tenant, events, quota, KEPT_SECONDS])
        if not is_counted:
            raise QuotaExceeded(quota, math.ceil(MINUTE_SECONDS - second))
        return True
