"""The log of events. Events sent over HTTP are accepted once they are in the log, like those of other producers.

The engine only has this interface; ``consumers/kafka_event_log.py`` implements it with Kafka. See docs/decisions/0013.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol


def record_key(tenant_id: str, student_id: str) -> bytes:
    """The key of every record about a student; they stay in one partition. Results have the pseudonym in place of the id."""
    return f"{tenant_id}/{student_id}".encode()


class LogRecord(NamedTuple):
    """A record of the log: tenant, student, the event as JSON, and its W3C trace context ("" for none).

    ``counted_at`` is when the record was counted for its tenant's quota; the bridge does not count it again.
    """

    tenant_id: str
    student_id: str
    value: bytes
    traceparent: str = ""
    counted_at: datetime | None = None

    @property
    def key(self) -> bytes:
        """The record's key."""
        return record_key(self.tenant_id, self.student_id)


class EventLog(Protocol):
    """Stores events until they are recorded. Thread-safe."""

    def append(self, records: Sequence[LogRecord]) -> None:
        """Append records; returns when the log has stored all of them durably.

        Raises:
            DependencyUnavailable: The log did not confirm in time. It may have some of the records; all may be sent again.
        """

    def ping(self) -> None:
        """Raise DependencyUnavailable, with the reason, unless the log answers."""
