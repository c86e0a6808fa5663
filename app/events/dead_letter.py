"""A dead letter: an event that failed for good, with what is needed to understand and replay it. Source: design section 4."""

from datetime import datetime
from enum import StrEnum
from hashlib import blake2b

import msgspec

from app.errors import InvalidInput
from app.events.chunk import SourceRecord

# A dead letter must fit into a Kafka message (1 MB). Bytes that are not UTF-8 take up to six characters each.
MAX_PAYLOAD_BYTES = 150_000
MAX_TEXT = 200  # of what an event claims as its id or type
MAX_MESSAGE = 1_000  # all that can be wrong with an event's dozen fields, and the names of its types
# tenant_id/student_id are 101 bytes; a longer key is no such, and with the letter might not fit into a message.
MAX_KEY_BYTES = 200

# The headers, besides REPLAYS and TRACE, which travel with a record from its source to its letter and back.
TOPIC, PARTITION, OFFSET, ERROR_TYPE, LETTER_ID = "dlq.topic", "dlq.partition", "dlq.offset", "dlq.error_type", "dlq.id"
REPLAYS, TRACE = "dlq.replay_count", "traceparent"


class ErrorType(StrEnum):
    """Why an event was dead-lettered. An outage is no reason, so ``DEPENDENCY`` is reserved for others who write letters."""

    VALIDATION = "validation_error"
    PROCESSING = "processing_error"
    TIMEOUT = "timeout_error"
    DEPENDENCY = "dependency_error"


class DeadLetter(msgspec.Struct, frozen=True):
    """The value on ``mastery.dlq``. ``original_payload`` is the JSON value where it is one, else its text.

    A payload that does not fit is cut, and ends by saying so; the source record, which the headers name, has all of it.
    """

    event_id: str | None
    original_event_type: str | None
    original_payload: object
    error_type: ErrorType
    error_message: str
    failed_at: datetime
    retry_count: int


class OutgoingDeadLetter(msgspec.Struct, frozen=True, array_like=True):
    """A dead letter ready to be sent: Kafka key, value and headers. It waits in Redis until it is delivered."""

    error_type: ErrorType
    key: bytes | None
    value: bytes
    headers: list[tuple[str, str]]


def invalid_event(value: bytes | None, error: InvalidInput, failed_at: datetime) -> DeadLetter:
    """The dead letter of a record that is not a valid event."""
    return _dead_letter(value, ErrorType.VALIDATION, str(error), failed_at, retry_count=0)


def failed_event(value: bytes, error_type: ErrorType, message: str, failed_at: datetime, retry_count: int) -> DeadLetter:
    """The dead letter of a valid event that could not be recorded, however often it was tried."""
    return _dead_letter(value, error_type, message, failed_at, retry_count)


def address(letter: DeadLetter, topic: str, record: SourceRecord, key: bytes | None) -> OutgoingDeadLetter:
    """The letter with the key and the place of its source record."""
    headers = [
        (TOPIC, topic),
        (PARTITION, str(record.partition)),
        (OFFSET, str(record.offset)),
        (ERROR_TYPE, letter.error_type.value),
        (REPLAYS, str(record.replays)),
        (LETTER_ID, _letter_id(topic, record)),
    ]
    if record.traceparent:
        headers.append((TRACE, record.traceparent))
    return OutgoingDeadLetter(letter.error_type, key[:MAX_KEY_BYTES] if key else key, msgspec.json.encode(letter), headers)


def _letter_id(topic: str, record: SourceRecord) -> str:
    """The same for the same source record, however often it is taken: a letter that was delivered is known by it."""
    place = f"{topic}/{record.partition}/{record.offset}/".encode()
    return blake2b(place + record.value, digest_size=16).hexdigest()


def _dead_letter(value: bytes | None, error_type: ErrorType, message: str, failed_at: datetime, retry_count: int) -> DeadLetter:
    payload = _payload(value)
    fields = payload if isinstance(payload, dict) else {}
    return DeadLetter(
        event_id=_text(fields.get("event_id")),
        original_event_type=_text(fields.get("event_type")),
        original_payload=payload,
        error_type=error_type,
        error_message=message[:MAX_MESSAGE],
        failed_at=failed_at,
        retry_count=retry_count,
    )


def _payload(value: bytes | None) -> object:
    if value is None:
        return None
    if len(value) > MAX_PAYLOAD_BYTES:
        return f"{value[:MAX_PAYLOAD_BYTES].decode('utf-8', errors='backslashreplace')}… ({len(value)} bytes in all)"
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Bytes that are not UTF-8 stay readable and recoverable: \xff is written as such.
        return value.decode("utf-8", errors="backslashreplace")


def _text(value: object) -> str | None:
    return value[:MAX_TEXT] if isinstance(value, str) else None
