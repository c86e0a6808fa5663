"""Every key in Redis: its name, its content, and whether that is personal data. No other module builds keys.

The hash tag of a tenant's keys is its name: all are on one shard, so a script may use several. Hash tags of keys without a
tenant begin with a dot, which no tenant's name contains. A test compares docs/architecture.md with this module.
"""

import glob
from collections.abc import Callable
from inspect import signature
from typing import NamedTuple, TypeVar

Make = TypeVar("Make", bound=Callable[..., str])


class KeyKind(NamedTuple):
    """A kind of key: the Redis type of its values, their content, and whether that is personal data.

    Data about a student or a caller is personal, even if a hash replaces the name.
    """

    type: str
    holds: str
    is_personal: bool


CATALOGUE: dict[str, KeyKind] = {}  # by the name of the method that builds the key


# Placeholders of the variable parts in patterns, by parameter name.
_PLACEHOLDERS = {
    "tenant": "t",
    "trail": "t",
    "caller": "<area>:<caller>",
    "chunk_id": "<id>",
    "cohort_id": "<cohort>",
    "key_hash": "<hash>",
    "log": "<cluster>/<topic>/<id>",
    "minute": "<number>",
    "name": "<name>",
    "source": "<cluster>/<group>/<topic>",
    "student_id": "<id>",
    "subject": "<id>",
    "task_id": "<id>",
    "token_hash": "<hash>",
}


def _kind(type_: str, holds: str, *, personal: bool = False) -> Callable[[Make], Make]:
    def register(make: Make) -> Make:
        CATALOGUE[make.__name__] = KeyKind(type_, holds, personal)
        return make

    return register


class Keys:
    """The keys of one engine; the prefix separates engines that share a Redis."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def tenant(self, tenant: str) -> str:
        """The prefix of all keys of a tenant."""
        return f"{self._prefix}:{{{tenant}}}:"

    @_kind("set", "every tenant that ever sent an event")
    def tenants(self) -> str:
        return f"{self._prefix}:tenants"

    # Mastery

    @_kind("hash", "facts by day, the window, cohort, score: see the head of `merge_evidence.lua`", personal=True)
    def student(self, tenant: str, student_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:student:{student_id}"

    @_kind("string", "10 bytes per event: which events were counted, and when the mark expires", personal=True)
    def marks(self, tenant: str, student_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:marks:{student_id}"

    @_kind("zset", "student → day of the score: who is to be refreshed", personal=True)
    def students(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:students"

    @_kind("zset", "student → mastery", personal=True)
    def ranking(self, tenant: str, cohort_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:ranking:{cohort_id}"

    @_kind("set", "the tenant's cohorts")
    def cohorts(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:cohorts"

    @_kind("stream", "changes of scores that wait to be published", personal=True)
    def changes(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:changes"

    # Events

    @_kind("hash", "events applied, duplicates, expired")
    def totals(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:totals"

    @_kind("string", "bitmap: which parts of a chunk in flight were counted in the totals")
    def counted_chunk(self, tenant: str, chunk_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:chunk:{chunk_id}"

    @_kind("hash", "chunks in flight", personal=True)
    def chunks(self) -> str:
        return f"{self._prefix}:{{.events}}:chunks"

    @_kind("zset", "last activity of each chunk in flight")
    def due(self) -> str:
        return f"{self._prefix}:{{.events}}:due"

    @_kind("set", "which chunks in flight are in the bulk lane")
    def bulk(self) -> str:
        return f"{self._prefix}:{{.events}}:bulk"

    @_kind("hash", "which tasks worked at a chunk in flight")
    def attempts(self) -> str:
        return f"{self._prefix}:{{.events}}:attempts"

    @_kind("hash", "records taken, chunks, dead letters by error type")
    def counters(self) -> str:
        return f"{self._prefix}:{{.events}}:counters"

    @_kind(
        "hash",
        "next offset to be taken of each partition; which topic that is (its id); up to where an operator let invalid records "
        "pass",
    )
    def positions(self, source: str) -> str:
        return f"{self._prefix}:{{.events}}:positions:{source}"

    @_kind("hash", "[what was lost](lost-state.md), and whether an operator knows")
    def loss(self) -> str:
        return f"{self._prefix}:{{.events}}:loss"

    @_kind(
        "hash",
        "how many events of each tenant that has a quota were produced in a minute, over Kafka, over HTTP, and of these how "
        "many were read; an hour",
    )
    def event_minute(self, minute: int) -> str:
        return f"{self._prefix}:{{.events}}:minute:{minute}"

    @_kind("stream", "dead letters that wait to be delivered", personal=True)
    def letters(self) -> str:
        return f"{self._prefix}:{{.events}}:letters"

    @_kind("hash", "where `mastery.dlq` ended after the last delivered letter")
    def letters_delivered(self, log: str = "") -> str:
        """The key for one log (cluster, topic and topic id); without ``log``, the key of a version with a single log."""
        return f"{self._prefix}:{{.events}}:letters-delivered" + (f":{log}" if log else "")

    @_kind("hash", "which dead letters an operator replayed or purged")
    def handled_letters(self, log: str) -> str:
        return f"{self._prefix}:{{.events}}:handled-letters:{log}"

    @_kind("set", "bridges by name")
    def bridges(self) -> str:
        return f"{self._prefix}:{{.events}}:bridges"

    @_kind("string", "a bridge's heartbeat; ten seconds")
    def bridge(self, name: str) -> str:
        return f"{self._prefix}:{{.events}}:bridges:{name}"

    @_kind("string", "which bridge relays; eight seconds")
    def relay(self) -> str:
        return f"{self._prefix}:{{.events}}:relay"

    # Requests

    @_kind("string", "the answer to a request with an `Idempotency-Key`; a day", personal=True)
    def idempotency(self, tenant: str, key_hash: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:idempotency:{key_hash}"

    @_kind("hash", "how much such answers take, by the 24ths of a day in which they were kept")
    def idempotency_bytes(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:idempotency-bytes"

    @_kind("string", "who asked for a task, and about whom; an hour", personal=True)
    def task(self, tenant: str, task_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:task:{task_id}"

    @_kind("list", "when a caller's latest requests were; as long as the limit's period", personal=True)
    def rate(self, tenant: str, caller: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:rate:{caller}"

    @_kind("string", "a token that is good no longer; until it would have expired", personal=True)
    def revoked_token(self, tenant: str, token_hash: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:revoked-token:{token_hash}"

    @_kind("string", "before when all tokens of a subject were revoked; until they would have expired", personal=True)
    def revoked_subject(self, tenant: str, subject: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:revoked-subject:{subject}"

    # Audit

    @_kind("set", "the names of all audit trails")
    def audited(self) -> str:
        return f"{self._prefix}:audited"

    @_kind("stream", "the [audit trail](audit.md)", personal=True)
    def audit(self, trail: str) -> str:
        return f"{self._prefix}:{{{trail}}}:audit"

    @_kind("hash", "the trail's last entry")
    def audit_head(self, trail: str) -> str:
        return f"{self._prefix}:{{{trail}}}:audit-head"

    @_kind("hash", "the trail's last entry that was trimmed")
    def audit_anchor(self, trail: str) -> str:
        return f"{self._prefix}:{{{trail}}}:audit-anchor"

    @_kind("string", "which process may write to the trail next; milliseconds")
    def audit_turn(self, trail: str) -> str:
        return f"{self._prefix}:{{{trail}}}:audit-turn"

    @_kind("string", "the totals that the trail was last told of")
    def audit_summary(self, trail: str) -> str:
        return f"{self._prefix}:{{{trail}}}:audit-summary"

    def every_audit(self) -> str:
        """A glob pattern for SCAN that matches all keys of audit trails."""
        return f"{glob.escape(self._prefix)}:{{*}}:audit*"

    # Operations

    @_kind("string", "the last sweep for lost chunks; half a minute")
    def swept(self) -> str:
        return f"{self._prefix}:{{.tasks}}:swept"

    @_kind(
        "stream",
        "what came out of Celery's queues and was no message: the newest hundred, cut at 10,000 bytes, for a week",
        personal=True,
    )
    def malformed(self) -> str:
        return f"{self._prefix}:{{.tasks}}:malformed"

    @_kind("hash", "how many of those each queue had (`mastery_malformed_messages` of the bridge's metrics)")
    def malformed_counts(self) -> str:
        return f"{self._prefix}:{{.tasks}}:malformed-counts"

    @_kind("string", "written by `/ready`, to see that it can be; a second")
    def ready(self) -> str:
        return f"{self._prefix}:ready"

    @classmethod
    def patterns(cls, prefix: str) -> dict[str, KeyKind]:
        """Each kind of key by its pattern, such as ``mastery:{t}:student:<id>``."""
        keys = cls(prefix)
        return {
            make(**{name: _PLACEHOLDERS[name] for name in signature(make).parameters}): kind
            for name, kind in CATALOGUE.items()
            for make in (getattr(keys, name),)
        }

    def celery(self) -> str:
        """The prefix of Celery's keys: its queues, and the results of tasks, which may be personal data."""
        return f"{self._prefix}:celery:"
