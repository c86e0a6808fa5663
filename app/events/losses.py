"""What the engine knows that it has lost: noted where the bridge finds out, and told until an operator acknowledges it."""

import time
from datetime import UTC, datetime
from typing import NamedTuple, cast

import redis

from app.storage.keys import Keys

# What was in Redis alone. All else is made of events, and comes back as far as Kafka has them.
ALSO_GONE = "revocations of tokens, idempotency records, which dead letters were handled, and the audit trail"


class Loss(NamedTuple):
    """``records`` are events that count for nobody: Kafka no longer has them; ``at`` is when that was last noticed.

    ``state_lost_at`` is when it was last noticed that Redis had lost everything. None: never.
    """

    records: int = 0
    at: datetime | None = None
    state_lost_at: datetime | None = None
    is_acknowledged: bool = True

    def __str__(self) -> str:
        parts = []
        if self.state_lost_at:
            parts.append(f"Redis lost its state ({_text(self.state_lost_at)}), and with it {ALSO_GONE}")
        if self.records and self.at:
            parts.append(f"up to {self.records:,} events that Kafka has no longer ({_text(self.at)})")
        return "; ".join(parts)


class Losses:
    """Of one engine. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._key = Keys(key_prefix).loss()

    def known(self) -> Loss:
        """What was lost, and whether an operator knows. Records are those since the last acknowledgement."""
        fields = cast("dict[bytes, bytes]", self._redis.hgetall(self._key))
        return Loss(
            records=int(fields.get(b"records", 0)),
            at=_moment(fields.get(b"at")),
            state_lost_at=_moment(fields.get(b"state-lost-at")),
            is_acknowledged=not fields or b"acknowledged-at" in fields,
        )

    def acknowledge(self, loss: Loss) -> None:
        """An operator knows of this. That the state was lost, and when, stays on record."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hincrby(self._key, "records", -loss.records)
        pipeline.hset(self._key, "acknowledged-at", round(time.time() * 1000))
        pipeline.execute()


def _moment(milliseconds: bytes | None) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
