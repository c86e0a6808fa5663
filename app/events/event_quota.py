"""How many events a minute a tenant may send over HTTP, whoever of the tenant sends them. See docs/api.md, Quotas."""

import math
from pathlib import Path

import redis

from app.errors import EngineError, InvalidInput
from app.quotas import Quotas
from app.redis_client import load_script, translated_errors

MINUTE_MILLISECONDS = 60_000


class QuotaExceeded(EngineError):
    """A tenant has sent as many events as it may; ``seconds`` says when the same call may succeed."""

    def __init__(self, quota: int, seconds: int) -> None:
        super().__init__(quota, seconds)
        self.quota = quota
        self.seconds = seconds

    def __str__(self) -> str:
        return f"the tenant may send {self.quota:,} events a minute"


class EventQuota:
    """The minutes of all tenants. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str, quotas: Quotas) -> None:
        self._prefix = key_prefix
        self._quotas = quotas
        self._count = load_script(client, Path(__file__).with_name("count_events.lua"))

    def admit(self, tenant: str, events: int) -> None:
        """Count events of a tenant. Counts none and raises QuotaExceeded where they are more than the minute still has.

        Raises InvalidInput where they are more than any minute has.
        """
        quota = self._quotas.of(tenant)
        if events > quota:  # at no time would there be room
            raise InvalidInput("events", f"are more than the {quota:,} that the tenant may send in a minute")
        with translated_errors():
            left = self._count([f"{self._prefix}:{{{tenant}}}:events-minute"], [events, quota, MINUTE_MILLISECONDS])
        if left:
            raise QuotaExceeded(quota, math.ceil(int(str(left)) / 1000))
