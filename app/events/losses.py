"""Detected data losses: the bridge stores them, and they are reported until an operator acknowledges them."""

import time
from datetime import UTC, datetime
from typing import NamedTuple, cast

import redis

from app.storage.keys import Keys

# Data that exists only in Redis. Everything else is rebuilt from the events that Kafka still has.
ALSO_GONE = "revocations of tokens, idempotency records, which dead letters were handled, and the audit trail"


class Loss(NamedTuple):
    """``records`` is the number of events lost because Kafka no longer has them; ``at`` is when that was last detected.

    ``state_lost_at`` is when a loss of the whole Redis state was last detected. None: never.
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
    """The losses of one engine. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._key = Keys(key_prefix).loss()

    def known(self) -> Loss:
        """The losses, and whether they are acknowledged. ``records`` counts those since the last acknowledgement."""
        fields = cast("dict[bytes, bytes]", self._redis.hgetall(self._key))
        return Loss(
            records=int(fields.get(b"records", 0)),
            at=_moment(fields.get(b"at")),
            state_lost_at=_moment(fields.get(b"state-lost-at")),
            is_acknowledged=not fields or b"acknowledged-at" in fields,
        )

    def acknowledge(self, loss: Loss) -> None:
        """Acknowledge a loss on behalf of an operator. ``state_lost_at`` is kept."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hincrby(self._key, "records", -loss.records)
        pipeline.hset(self._key, "acknowledged-at", round(time.time() * 1000))
        pipeline.execute()


def _moment(milliseconds: bytes | None) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
