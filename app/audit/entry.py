"""An entry of the audit trail: who did what to whose data, when, and with which outcome. Pure values."""

from base64 import b64decode, b64encode
from collections.abc import Collection
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple, TypeAlias

import msgspec

# The trail for actions outside tenants, such as operators' commands. No tenant can have this name, since it is not a valid id.
OPERATORS = ".operators"

# An entry has the full pseudonyms of up to MAX_WHOSE students, and only the first BEGINNING_BYTES of further ones. A full
# pseudonym takes 27 bytes of JSON and a beginning 5, so the entry of a batch of 500 has 3 KB. A search for a student finds all
# their entries, and a false match once in eight million such entries.
MAX_WHOSE, BEGINNING_BYTES = 20, 4

Details: TypeAlias = dict[str, str | int | bool]


class Channel(StrEnum):
    """The interface through which an action was done."""

    API = "api"
    TASK = "task"
    COMMAND = "command"


class AuditOutcome(StrEnum):
    """The outcome of an action."""

    DONE = "done"
    ACCEPTED = "accepted"  # passed to a task, or accepted for recording
    DENIED = "denied"
    NOT_FOUND = "not_found"
    FAILED = "failed"


class SystemAction(StrEnum):
    """Actions of the engine and its operators. Those of callers are in ``app/security/access.py``."""

    RECORD_EVENTS = "events.record"
    RUN_BATCH = "batch.run"
    FINISH_ERASURE = "student.erased"
    REFRESH_MASTERY = "mastery.refresh"
    SCORE_FORECASTS = "predictions.score"
    TRIM_AUDIT = "audit.trim"
    VERIFY_AUDIT = "audit.verify"
    NOTICE_SET_BACK = "audit.set-back"
    REPLAY_EVENTS = "events.replay"
    READ_SUMMARY = "summary.read"
    RESUME_BRIDGES = "bridge.resume"
    ACKNOWLEDGE_LOSS = "bridge.acknowledge_loss"
    LIST_LETTERS = "dlq.list"
    SHOW_LETTER = "dlq.show"
    REPLAY_LETTERS = "dlq.replay"
    PURGE_LETTERS = "dlq.purge"
    CREATE_WEBHOOK_KEY = "webhook-secret.create"
    ROTATE_WEBHOOK_KEY = "webhook-secret.rotate"
    REVOKE_WEBHOOK_KEY = "webhook-secret.revoke"
    TRAIN_MODEL = "model.train"
    PROMOTE_MODEL = "model.promote"
    ROLL_BACK_MODEL = "model.rollback"
    FORGET_MODELS = "model.forget"
    OBSERVE_PEERS = "peers.observe"
    PUBLISH_STATISTICS = "statistics.publish"


class Actor(NamedTuple):
    """Who did it: a role (a caller's, ``operator`` or ``system``) and a name (for students, the pseudonym)."""

    role: str
    who: str


OPERATOR, SYSTEM = "operator", "system"
WORKER = Actor(SYSTEM, "worker")


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry. ``whose`` are pseudonyms of students, ``at`` is UTC in ISO 8601 with milliseconds.

    ``whose_others`` are the beginnings of the pseudonyms beyond ``MAX_WHOSE``, concatenated and in Base64. ``sequence`` counts
    the trail's entries from 1; it is 0 until the entry is stored.
    """

    sequence: int = 0
    at: str
    channel: Channel
    role: str
    who: str
    action: str
    whose: list[str] = []
    whose_others: str = ""
    outcome: AuditOutcome
    correlation_id: str = ""
    details: Details = {}

    @property
    def students(self) -> int:
        """The number of students that the entry concerns."""
        return len(self.whose) + len(b64decode(self.whose_others)) // BEGINNING_BYTES

    def is_about(self, pseudonyms: Collection[str]) -> bool:
        """Whether the entry concerns a student with one of these pseudonyms."""
        if not self.whose_others:
            return not set(self.whose).isdisjoint(pseudonyms)
        others = b64decode(self.whose_others).hex()
        size = 2 * BEGINNING_BYTES
        beginnings = {others[at : at + size] for at in range(0, len(others), size)}
        return any(each in self.whose or each[:size] in beginnings for each in pseudonyms)


def entry(
    now: datetime,
    channel: Channel,
    actor: Actor,
    action: str,
    *,
    outcome: AuditOutcome = AuditOutcome.DONE,
    whose: list[str] | None = None,
    correlation_id: str = "",
    details: Details | None = None,
) -> Entry:
    """Create an entry; it is not stored yet."""
    whose = whose or []
    others = b"".join(bytes.fromhex(each)[:BEGINNING_BYTES] for each in whose[MAX_WHOSE:])
    return Entry(
        at=timestamp(now),
        channel=channel,
        role=actor.role,
        who=actor.who,
        action=action,
        outcome=outcome,
        whose=whose[:MAX_WHOSE],
        whose_others=b64encode(others).decode(),
        correlation_id=correlation_id,
        details=details or {},
    )


def timestamp(moment: datetime) -> str:
    """UTC with milliseconds: ``2026-10-28T12:00:00.000Z``. The text order is the chronological order."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(stored: Entry) -> bytes:
    """The entry as JSON."""
    return msgspec.json.encode(stored)


def decode(text: bytes) -> Entry | None:
    """Decode an entry from JSON; None if it is invalid."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


_decoder = msgspec.json.Decoder(Entry)
