"""Hands records over to the ledger: events over their tenant's quota as dead letters, the other valid ones as a chunk.

Replayed dead letters are exempt from quotas, or a replay would reject them again. So are events from the API, which has already
counted and accepted them.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Container, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol, TypeAlias

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE

from app.bootstrap import Engine
from app.events.chunk import SourceRecord
from app.events.dead_letter import ErrorType, FailedRecord
from app.events.event_quota import COUNTED, MINUTE_SECONDS, Use
from app.events.ledger import Accepted, ChunkId, OffsetAdvance, OverQuota
from app.events.positions import Partition, TopicId
from app.events.seal_letters import seal_letters
from consumers.bridge.validation import Validated, key_of
from consumers.kafka.clients import headers_of

MINUTE_MILLISECONDS = 1000 * MINUTE_SECONDS
LOGGED_TENANTS = 1_000  # producers choose the names of tenants; beyond this many, a warning may be repeated
AHEAD = timedelta(hours=1)  # the default of message.timestamp.after.max.ms since Kafka 4.0
Minute: TypeAlias = tuple[str, int]  # tenant, and minutes since the Unix epoch

_log = logging.getLogger(__name__)


class Enqueue(Protocol):
    """Sends the tasks of chunks; see ``tasks.events.enqueue_chunks``."""

    def __call__(self, chunk_ids: Sequence[ChunkId], *, in_bulk: bool) -> None: ...


class Taken(NamedTuple):
    """The accepted chunks, their numbers of events in the ordinary and bulk lanes, and the number of dead letters."""

    accepted: Accepted
    events: int
    bulk_events: int
    letters: int


class _Share:
    """Of one tenant and minute: indices of the records still to be counted, and how many the API has counted."""

    def __init__(self) -> None:
        self.new: list[int] = []
        self.counted = 0


class HandOver:
    """Of one bridge. Raises the exceptions of ``Ledger.accept``, except OverQuota."""

    def __init__(self, engine: Engine) -> None:
        self._ledger = engine.ledger
        self._letter_keys = engine.letter_keys
        self._quotas = engine.event_quota.quotas
        self._kept = timedelta(days=engine.settings.events_retention_days)
        self._logged: dict[str, int] = {}  # by tenant, the last minute over quota that was logged

    def take(
        self,
        found: Validated,
        source: str,
        topic_id: TopicId,
        advances: Mapping[Partition, OffsetAdvance],
        bulk_tenants: Container[str] = (),
    ) -> Taken:
        """Hand validated records over, the events of ``bulk_tenants`` in the bulk lane. Returns what the ledger accepted."""
        shares = self._shares(found) if self._quotas.limit_any else {}
        over_quota: dict[int, str] = {}  # index of the record: reason in the dead letter
        while True:
            uses = [Use(*whose, self._quotas.of(whose[0]), len(each.new), each.counted) for whose, each in shares.items()]
            lanes: tuple[list[SourceRecord], list[SourceRecord]] = ([], [])
            for index, (record, tenant) in enumerate(zip(found.chunk.records, found.tenants, strict=True)):
                if index not in over_quota:
                    lanes[tenant in bulk_tenants].append(record)
            chunk, bulk = (found.chunk._replace(records=records) for records in lanes)
            failed = found.failed + [_failed(found, index, reason) for index, reason in sorted(over_quota.items())]
            letters = seal_letters(failed, self._letter_keys)
            try:
                accepted = self._ledger.accept(
                    chunk, letters, bulk=bulk, source=source, topic_id=topic_id, advances=advances, uses=uses
                )
            except OverQuota as error:  # checked atomically with counting; `new` shrinks with every try, so this ends
                for use, share, excess in zip(uses, shares.values(), error.too_many, strict=True):
                    over_quota |= dict.fromkeys(share.new[len(share.new) - excess :], self._reason(use))
                    del share.new[len(share.new) - excess :]
            else:
                self._log_over_quota(found, over_quota, shares)
                return Taken(accepted, len(chunk.records), len(bulk.records), len(letters))

    def _shares(self, found: Validated) -> dict[Minute, _Share]:
        """What the records use of their tenants' quotas.

        Producers choose the timestamps, and each minute takes memory in Redis. So minutes are clamped to those in which a
        record that Kafka still retains can have been produced.

        Returns:
            The share of each tenant with a quota and each minute.
        """
        now = found.chunk.accepted_at
        first, last = _minute(now - self._kept), _minute(now + AHEAD)
        shares: dict[Minute, _Share] = defaultdict(_Share)
        for index, (tenant, message, record) in enumerate(zip(found.tenants, found.messages, found.chunk.records, strict=True)):
            kind, milliseconds = message.timestamp()
            if record.replays or kind == TIMESTAMP_NOT_AVAILABLE or not self._quotas.limits(tenant):
                continue
            share = shares[tenant, min(last, max(first, milliseconds // MINUTE_MILLISECONDS))]
            if COUNTED in headers_of(message):
                share.counted += 1
            else:
                share.new.append(index)
        return dict(shares)

    def _reason(self, use: Use) -> str:
        minute = _moment(use.minute)
        return (
            f"the tenant may send {use.quota:,} events a minute, and had sent them in that of {minute}; replay this when it may"
        )

    def _log_over_quota(self, found: Validated, over_quota: Collection[int], shares: Mapping[Minute, _Share]) -> None:
        """Log once per tenant and minute that the quota is exceeded."""
        tenants = {found.tenants[index] for index in over_quota}
        for tenant, minute in shares:
            if tenant in tenants and self._logged.get(tenant) != minute:
                if len(self._logged) >= LOGGED_TENANTS:
                    self._logged.clear()
                self._logged[tenant] = minute
                _log.warning("to the dead letters: events over the quota of %s in the minute of %s", tenant, _moment(minute))


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // MINUTE_SECONDS


def _moment(minute: int) -> str:
    return datetime.fromtimestamp(minute * MINUTE_SECONDS, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _failed(found: Validated, index: int, reason: str) -> FailedRecord:
    chunk, key = found.chunk, key_of(found.messages[index])
    record = chunk.records[index]
    return FailedRecord(chunk.source, record, key, record.value, ErrorType.PROCESSING, reason, chunk.accepted_at)
