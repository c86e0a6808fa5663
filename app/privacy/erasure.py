"""What an erasure is: its state, and the receipt that is left of it. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256

import msgspec
from msgspec import Struct

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ErasureStatus(StrEnum):
    """The state of an erasure."""

    RUNNING = "running"
    DONE = "done"


class Part(StrEnum):
    """What is done once for each request of an erasure, if no process dies in between."""

    ANNOUNCED = "announced"  # to other services
    DROPPED = "dropped"  # of a whole tenant: what is dropped as a whole


class Erasure(Struct, frozen=True, kw_only=True):
    """An erasure and its state. Moments are UTC; ``requested_at`` is by the clock of Redis.

    Attributes:
        erasure_id: identifies it.
        pseudonym: of the student, as in the audit trail; ``*`` for a whole tenant.
        requested_at: events with a timestamp up to this moment, and for a moment longer, are refused.
        finished_at: when nothing was left; None while it runs.
        erased: how many things were erased, by kind of data; a lower bound if a process died meanwhile.
    """

    erasure_id: str
    pseudonym: str
    requested_at: datetime
    finished_at: datetime | None = None
    erased: Mapping[str, int] = {}

    @property
    def status(self) -> ErasureStatus:
        return ErasureStatus.RUNNING if self.finished_at is None else ErasureStatus.DONE


class PendingErasure(Struct, frozen=True, kw_only=True):
    """An erasure that runs. ``student_id`` is empty for a whole tenant, ``requested`` is in microseconds since 1970-01-01."""

    erasure_id: str
    pseudonym: str
    student_id: str
    requested: int


def receipt_text(erasure: Erasure) -> bytes:
    """The receipt as JSON: its fields, sorted by name and without spaces."""
    return msgspec.json.encode(erasure, order="sorted")


def receipt_hash(erasure: Erasure) -> str:
    """SHA-256 of the receipt's text. The audit trail has both."""
    return sha256(receipt_text(erasure)).hexdigest()


def moment(microseconds: int) -> datetime:
    """A stored time, in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)
