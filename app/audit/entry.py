"""An entry of the audit trail: who did what to whose data, when, and with which outcome. Values only."""

from base64 import b64decode, b64encode
from collections.abc import Collection
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple, TypeAlias

import msgspec

# What belongs to no tenant, such as an operator's command, has a trail of its own. No tenant can have this name: it is no id.
OPERATORS = ".operators"

# Of so many students an entry has pseudonyms; of others the beginnings, of so many bytes. In full one takes 27 bytes of JSON,
# a beginning 5: so an entry of a batch of 500 has 3 KB. Whoever looks for a student finds each entry about them, and one about
# others once in eight million of such entries.
MAX_WHOSE, BEGINNING_BYTES = 20, 4

Details: TypeAlias = dict[str, str | int | bool]


class Channel(StrEnum):
    """What somebody used."""

    API = "api"
    TASK = "task"
    COMMAND = "command"


class AuditOutcome(StrEnum):
    """What came of it."""

    DONE = "done"
    ACCEPTED = "accepted"  # handed over to a task, or taken over to be recorded
    DENIED = "denied"
    NOT_FOUND = "not_found"
    FAILED = "failed"


class SystemAction(StrEnum):
    """What the engine itself and its operators do; what callers do are the actions of ``app/security/access.py``."""

    RECORD_EVENTS = "events.record"
    REFRESH_MASTERY = "mastery.refresh"
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


class Actor(NamedTuple):
    """Who did it: a role (a caller's, ``operator`` or ``system``) and a name, which of a student is a pseudonym."""

    role: str
    who: str


OPERATOR, SYSTEM = "operator", "system"
WORKER = Actor(SYSTEM, "worker")


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry. ``whose`` are pseudonyms of students, ``at`` is UTC in ISO 8601 to the millisecond.

    ``whose_others`` are the beginnings of the pseudonyms beyond ``MAX_WHOSE``, as bytes in Base64. ``sequence`` is its place in
    the trail, from 1; 0 until it is stored.
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
        """How many students it is about."""
        return len(self.whose) + len(b64decode(self.whose_others)) // BEGINNING_BYTES

    def is_about(self, pseudonyms: Collection[str]) -> bool:
        """Whether it is about a student who has one of these pseudonyms."""
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
    """An entry that is not stored yet."""
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
    """UTC, to the millisecond: ``2026-10-28T12:00:00.000Z``. As text, moments compare as they follow each other."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(stored: Entry) -> bytes:
    """The entry as JSON."""
    return msgspec.json.encode(stored)


def decode(text: bytes) -> Entry | None:
    """The entry in a JSON text, or None if there is none in it."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


_decoder = msgspec.json.Decoder(Entry)
