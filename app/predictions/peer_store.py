"""What the students of each cohort did lately, in Redis: ``peers.py`` computes it once a day, and forecasts look at it."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import cast

import msgspec
import redis
from msgspec import Struct

from app.clock import Day
from app.predictions.peers import Peers
from app.predictions.training_lease import TrainingRuns, lost, token_of
from app.storage.keys import Keys
from app.storage.lease import Lease
from app.storage.scripts import load_script, run_script, slices

# A cohort of three days ago says nothing about today; forecasts are made without it then.
KEPT = timedelta(days=3)
COHORTS_PER_DROP = 1_000  # a millisecond of the server's time


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
        self._put = load_script(client, Path(__file__).with_name("put_peers.lua"))

    def put(self, tenant: str, cohort: str, observed: Observed, *, by: Lease | None = None) -> None:
        """Store what was observed of a cohort, in place of what was before.

        Raises:
            TrainingRuns: It was observed by a training, whose lease was lost.
        """
        names = [self._keys.peers(tenant, cohort), self._keys.training(tenant)]
        arguments = [token_of(by), msgspec.json.encode(observed), int(KEPT.total_seconds())]
        (is_stored,) = run_script(self._redis, self._put, [(names, arguments)])
        if not is_stored:
            raise TrainingRuns(lost(tenant))

    def drop(self, tenant: str, cohorts: Iterable[str]) -> None:
        """Delete what was observed of these cohorts."""
        for some in slices(cohorts, COHORTS_PER_DROP):
            self._redis.unlink(*(self._keys.peers(tenant, cohort) for cohort in some))

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
