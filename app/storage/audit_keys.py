"""The keys of audit trails: a part of ``keys.py``, which says more."""

import glob

from app.storage.key_kinds import kind


class AuditKeys:
    """The keys of the audit trails of one engine."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    @kind("set", "the names of all audit trails")
    def audited(self) -> str:
        return f"{self._prefix}:audited"

    @kind("stream", "the [audit trail](audit.md)", personal=True)
    def audit(self, trail: str) -> str:
        return f"{self._prefix}:{{{trail}}}:audit"

    @kind("hash", "the trail's last entry")
    def audit_head(self, trail: str) -> str:
        return f"{self._prefix}:{{{trail}}}:audit-head"

    @kind("hash", "the trail's last entry that was trimmed")
    def audit_anchor(self, trail: str) -> str:
        return f"{self._prefix}:{{{trail}}}:audit-anchor"

    @kind("string", "lease: which process may write to the trail; milliseconds")
    def audit_turn(self, trail: str) -> str:
        return f"{self._prefix}:{{{trail}}}:audit-turn"

    @kind("string", "the totals in the latest `events.record` entry of the trail")
    def audit_summary(self, trail: str) -> str:
        return f"{self._prefix}:{{{trail}}}:audit-summary"

    def every_audit(self) -> str:
        """A glob pattern for SCAN that matches all keys of audit trails."""
        return f"{glob.escape(self._prefix)}:{{*}}:audit*"
