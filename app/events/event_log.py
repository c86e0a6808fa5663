"""The log of events: one for both doors. What a caller sends over HTTP is taken when the log has it, like what others produce.

The engine does not know what the log is; ``consumers/event_log.py`` has it in Kafka. See docs/decisions/0013.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol


class LogRecord(NamedTuple):
    """A record of the log: whose it is, the event as JSON, and its W3C trace context ("" for none).

    ``counted_at`` is in the minute in which it was counted for its tenant's quota: the log counts it there, and not again.
    """

    tenant_id: str
    student_id: str
    value: bytes
    traceparent: str = ""
    counted_at: datetime | None = None

    @property
    def key(self) -> bytes:
        """What is about one student is in one partition."""
        return f"{self.tenant_id}/{self.student_id}".encode()


class EventLog(Protocol):
    """Whatever keeps events until they are recorded. Safe among threads."""

    def append(self, records: Sequence[LogRecord]) -> None:
        """Return when the log has all of them, and will not lose them.

        Raises DependencyUnavailable when it does not say so in time: some may be in the log then, and all may be sent again.
        """

    def ping(self) -> None:
        """Raise DependencyUnavailable, with the reason, unless the log answers."""
