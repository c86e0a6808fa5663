"""Validates records from Kafka: the valid ones become a chunk, the others dead letters."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from confluent_kafka import Message

from app.errors import InvalidInput
from app.events.chunk import Chunk, SourceRecord
from app.events.dead_letter import MAX_TEXT, REPLAYS, TRACE, ErrorType, FailedRecord
from app.events.event import decode_event
from app.events.positions import Offset, Partition
from app.logs import frames
from consumers.kafka.clients import headers_of, place

LOGGED_REASONS = 5  # per batch; the dead letters have them all
MAX_REPLAYS_DIGITS = 9  # longer header values are ignored

_log = logging.getLogger(__name__)


class Validated(NamedTuple):
    """The chunk of the valid records (may be empty), the rejected records, and why these fail.

    ``tenants`` and ``messages`` have the same order as the chunk's records.
    """

    chunk: Chunk
    rejected: list[SourceRecord]
    failed: list[FailedRecord]
    tenants: list[str]
    messages: list[Message]

    def counts(self, admitted: Mapping[Partition, Offset]) -> tuple[int, int]:
        """Numbers of records, total and invalid, by which the poison guard judges producers.

        Replayed dead letters do not count, nor do invalid records below ``admitted``, which an operator has let pass.

        Returns:
            The total and the invalid number.
        """
        valid = sum(not record.replays for record in self.chunk.records)
        invalid = sum(not record.replays and record.offset >= admitted.get(record.partition, 0) for record in self.rejected)
        return valid + invalid, invalid


def validate_records(messages: Sequence[Message], topic: str, now: datetime) -> Validated:
    """Validate the records; ``now`` bounds their timestamps."""
    records: list[SourceRecord] = []
    rejected: list[SourceRecord] = []
    failed: list[FailedRecord] = []
    tenants: list[str] = []
    valid: list[Message] = []
    for message in messages:
        value, record = message.value(), _record(message)
        try:
            event, _ = decode_event(value, now)
        except InvalidInput as error:
            if len(failed) < LOGGED_REASONS:  # fields only: values may be confidential
                fields = ", ".join(each.field or "all" for each in error.errors)
                _log.warning("partition %d offset %d is not a valid event: %s", record.partition, record.offset, fields)
            failed.append(FailedRecord(topic, record, key_of(message), value, ErrorType.VALIDATION, str(error), now))
        except Exception as error:  # noqa: BLE001 - one record must not block its partition forever
            _log.error("partition %d offset %d cannot be validated: %s", record.partition, record.offset, frames(error))
            reason = f"{type(error).__name__}; the bridge's log has the cause"
            failed.append(FailedRecord(topic, record, key_of(message), value, ErrorType.PROCESSING, reason, now))
        else:
            records.append(record)
            tenants.append(event.tenant_id)
            valid.append(message)
            continue
        rejected.append(record)
    if failed:
        _log.warning("to the dead letters: %d", len(failed))
    return Validated(Chunk(topic, now, records), rejected, failed, tenants, valid)


def key_of(message: Message) -> bytes | None:
    """The key of a record."""
    key = message.key()
    return key.encode() if isinstance(key, str) else key  # the driver declares str too, but returns bytes


def _record(message: Message) -> SourceRecord:
    _, partition, offset = place(message)
    value, headers = message.value() or b"", headers_of(message)
    if not headers:
        return SourceRecord(partition, offset, value)
    replays = headers.get(REPLAYS, "")
    is_number = replays.isascii() and replays.isdigit() and len(replays) <= MAX_REPLAYS_DIGITS
    return SourceRecord(partition, offset, value, int(replays) if is_number else 0, headers.get(TRACE, "")[:MAX_TEXT])
