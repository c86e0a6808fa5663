"""Makes dead letters of failed records. Whatever may be personal data in them is encrypted."""

import re
from collections.abc import Sequence
from hashlib import sha256

import msgspec

from app.events.dead_letter import (
    ERROR_TYPE,
    LETTER_ID,
    MAX_MESSAGE,
    OFFSET,
    PARTITION,
    REPLAYS,
    TOPIC,
    TRACE,
    DeadLetter,
    FailedRecord,
    OutgoingDeadLetter,
)
from app.events.event_log import record_key
from app.events.failed_subject import Subject, subject_of
from app.events.letter_keys import IssuedKey, LetterKeys, Owner, StudentEvent
from app.events.sealed_payload import StudentKeyName, original, seal

# Version 00 of https://www.w3.org/TR/trace-context/; a producer may send anything else under this name.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def seal_letters(failed: Sequence[FailedRecord], keys: LetterKeys) -> list[OutgoingDeadLetter]:
    """The dead letters of failed records, in their order. One round trip for all keys.

    Raises DependencyUnavailable when Redis does not answer.

    Returns:
        What is sent to Kafka: no tenant's student can be recognized in it without a key.
    """
    if not failed:
        return []
    subjects = [subject_of(each.key, each.value, each.failed_at) for each in failed]
    issued = keys.issue([_owner(each, subject) for each, subject in zip(failed, subjects, strict=True)])
    return [_outgoing(*each, keys) for each in zip(failed, subjects, issued, strict=True)]


def _owner(failed: FailedRecord, subject: Subject) -> Owner:
    if subject.tenant and subject.student_id:
        return StudentEvent(subject.tenant, subject.student_id, subject.moment)
    return failed.failed_at.date()


def _outgoing(failed: FailedRecord, subject: Subject, issued: IssuedKey, keys: LetterKeys) -> OutgoingDeadLetter:
    key, letter_key = failed.key, None
    if subject.tenant and subject.student_id:
        key = record_key(subject.tenant, subject.student_id)  # not the producer's key, which may name somebody else
    if isinstance(issued.name, StudentKeyName):
        letter_key = record_key(*issued.name)
    letter = DeadLetter(
        event_id=subject.event_id,
        original_event_type=subject.event_type,
        original_payload=seal(original(key, failed.value), issued.name, issued.key, subject.tenant),
        error_type=failed.error_type,
        error_message=failed.message[:MAX_MESSAGE],
        failed_at=failed.failed_at,
        retry_count=failed.retry_count,
    )
    return OutgoingDeadLetter(failed.error_type, letter_key, msgspec.json.encode(letter), _headers(failed, keys))


def _headers(failed: FailedRecord, keys: LetterKeys) -> list[tuple[str, str]]:
    """The headers that locate the source record. The id is the same for the same record, so it is delivered once."""
    record = failed.record
    place = f"{failed.topic}/{record.partition}/{record.offset}"
    headers = [
        (TOPIC, failed.topic),
        (PARTITION, str(record.partition)),
        (OFFSET, str(record.offset)),
        (ERROR_TYPE, failed.error_type.value),
        (REPLAYS, str(record.replays)),
        (LETTER_ID, keys.record_id(f"{place}/{sha256(record.value).hexdigest()}")),
    ]
    if _TRACEPARENT.fullmatch(record.traceparent):
        headers.append((TRACE, record.traceparent))
    return headers
