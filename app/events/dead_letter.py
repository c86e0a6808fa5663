"""A dead letter: a permanently failed event, with the data to diagnose and replay it. Source: design section 4."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from app.events.chunk import SourceRecord
from app.events.sealed_payload import SealedPayload

MAX_TEXT = 200  # of texts that a producer may choose, such as a trace context
MAX_MESSAGE = 1_000  # enough for errors in all fields of an event

# The headers of a dead letter. REPLAYS and TRACE are copied from the source record, and back on replay.
TOPIC, PARTITION, OFFSET, ERROR_TYPE, LETTER_ID = "dlq.topic", "dlq.partition", "dlq.offset", "dlq.error_type", "dlq.id"
REPLAYS, TRACE = "dlq.replay_count", "traceparent"


class ErrorType(StrEnum):
    """Why an event was dead-lettered. ``DEPENDENCY`` is reserved for other producers, since the engine retries outages."""

    VALIDATION = "validation_error"
    PROCESSING = "processing_error"
    TIMEOUT = "timeout_error"
    DEPENDENCY = "dependency_error"


class FailedRecord(NamedTuple):
    """A record that becomes a dead letter, and why.

    Attributes:
        topic: The topic of the record.
        record: Its place, replays and trace context.
        key: Its Kafka key.
        value: Its value; None for a tombstone.
        error_type: The kind of failure.
        message: The reason. It quotes nothing of the record.
        failed_at: When processing was given up, in UTC.
        retry_count: The number of retries before that.
    """

    topic: str
    record: SourceRecord
    key: bytes | None
    value: bytes | None
    error_type: ErrorType
    message: str
    failed_at: datetime
    retry_count: int = 0


class DeadLetter(msgspec.Struct, frozen=True):
    """The value on ``mastery.dlq``. Earlier versions wrote the payload itself, not encrypted."""

    event_id: str | None
    original_event_type: str | None
    original_payload: SealedPayload
    error_type: ErrorType
    error_message: str
    failed_at: datetime
    retry_count: int


class OutgoingDeadLetter(msgspec.Struct, frozen=True, array_like=True):
    """A dead letter to be delivered: Kafka key, value and headers. Stored in Redis until it is delivered."""

    error_type: ErrorType
    key: bytes | None
    value: bytes
    headers: list[tuple[str, str]]
