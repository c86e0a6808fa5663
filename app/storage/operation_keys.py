"""The keys of health checks, malformed messages and counts: a part of ``keys.py``, which says more."""

from app.storage.key_kinds import kind


class OperationKeys:
    """The keys that only the operation of an engine needs."""

    _prefix: str

    @kind("string", "time of the last sweep for lost chunks; kept for half a minute")
    def swept(self) -> str:
        return f"{self._prefix}:{{.tasks}}:swept"

    @kind(
        "stream",
        "malformed messages from Celery's queues: the newest hundred, cut at 10,000 bytes, kept for a week",
        personal=True,
    )
    def malformed(self) -> str:
        return f"{self._prefix}:{{.tasks}}:malformed"

    @kind("hash", "malformed messages per queue (`mastery_malformed_messages` in the bridge's metrics)")
    def malformed_counts(self) -> str:
        return f"{self._prefix}:{{.tasks}}:malformed-counts"

    @kind("hash", "how much was removed at the end of its retention, by kind (`mastery_removed` in the bridge's metrics)")
    def removed(self) -> str:
        return f"{self._prefix}:{{.tasks}}:removed"

    @kind("string", "written by `/ready` to check that Redis accepts writes; kept for a second")
    def ready(self) -> str:
        return f"{self._prefix}:ready"
