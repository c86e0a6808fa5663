"""What the students of each cohort did lately, in Redis: ``peers.py`` computes it once a day, and forecasts look at it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import cast

import msgspec
import redis
from msgspec import Struct

from app.clock import Day
from app.predictions.peers import Peers
from app.storage.keys import Keys

# A cohort of three days ago says nothing about today; forecasts are made without it then.
KEPT = timedelta(days=3)


class Observed(Struct, frozen=True):
    """A cohort on a day; None if too few students were live."""

    day: Day
    peers: Peers | None


_observed = msgspec.json.Decoder(Observed)


class PeerStore:
    """The cohorts of all tenants. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)

    def put(self, tenant: str, cohort: str, observed: Observed) -> None:
        """Store what was observed of a cohort, in place of what was before."""
        self._redis.set(self._keys.peers(tenant, cohort), msgspec.json.encode(observed), ex=KEPT)

    def read(self, tenant: str, cohorts: Sequence[str]) -> list[Observed | None]:
        """What was observed last of each cohort; None without it, or for a damaged record."""
        if not cohorts:
            return []
        found = cast("list[bytes | None]", self._redis.mget([self._keys.peers(tenant, cohort) for cohort in cohorts]))
        return [_decoded(encoded) if encoded else None for encoded in found]


def _decoded(encoded: bytes) -> Observed | None:
    try:
        return _observed.decode(encoded)
    except (msgspec.DecodeError, RecursionError):
        return None
