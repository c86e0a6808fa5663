"""Quotas of events per tenant and minute, over Kafka and HTTP together. See docs/decisions/0018.

The minute is that of the record's production, so it does not depend on when the record is read. The API counts events before
it produces them, and marks them with a header; the ledger counts all others when it accepts them.
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
# How long a minute is kept after its last event: the partitions of a backlog may be read this far apart.
KEPT_SECONDS = 3_600
COUNTED = "mastery.counted"  # the header of records counted by the API


class QuotaExceeded(EngineError):
    """A tenant exceeds its quota of events per minute; the call may succeed in ``seconds``."""

    def __init__(self, quota: int, seconds: int) -> None:
        super().__init__(quota, seconds)
        self.quota = quota
        self.seconds = seconds

    def __str__(self) -> str:
        return f"the tenant may send {self.quota:,} events a minute"


class Use(NamedTuple):
    """A tenant's events of one minute (number since 1970): ``new`` ones, and those ``counted`` by the API."""

    tenant: str
    minute: int
    quota: int
    new: int
    counted: int


class EventQuota:
    """The quotas of events over HTTP. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str, quotas: Quotas) -> None:
        self._keys = Keys(key_prefix)
        self.quotas = quotas
        self._count = load_script(client, Path(__file__).with_name("count_events.lua"))

    def admit(self, tenant: str, events: int, now: datetime) -> bool:
        """Count events of a tenant, all or none.

        Returns:
            Whether they were counted; False for a tenant without a limit.

        Raises:
            QuotaExceeded: They exceed what remains of this minute's quota.
            InvalidInput: They exceed the quota of a whole minute.
        """
        if not self.quotas.limits(tenant):
            return False
        quota, (minute, second) = self.quotas.of(tenant), divmod(now.timestamp(), MINUTE_SECONDS)
        if events > quota:  # a retry could never succeed
            raise InvalidInput("events", f"are more than the {quota:,} that the tenant may send in a minute")
        is_counted = self._count([self._keys.event_minute(int(minute))], [tenant, events, quota, KEPT_SECONDS])
        if not is_counted:
            raise QuotaExceeded(quota, math.ceil(MINUTE_SECONDS - second))
        return True
