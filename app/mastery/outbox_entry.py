"""Entries of the outbox, and the two forms in which Redis has them. Pure.

New entries are in a stream, which writers can only append to. An erasure moves them to a sorted set, whose members can be
replaced: ``<entry id, padded>/<at>/<field>/<value>``, with the fields of the stream. Members are in the order of their ids.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from app.mastery.result_messages import Change, Erasure

CHANGES, ERASURES = b"changes", b"erasures"
ID_DIGITS = 20  # of each part of a stream id, which is an unsigned integer of 64 bits

_changes = msgspec.msgpack.Decoder(list[Change])
_erasures = msgspec.msgpack.Decoder(list[Erasure])


class OutboxEntry(NamedTuple):
    """Changes that were stored together, or erasures to be announced, with the id of their entry."""

    entry_id: str
    at: datetime
    changes: list[Change]
    erasures: list[Erasure]


def of_stream(entry_id: bytes, fields: Sequence[bytes]) -> OutboxEntry:
    """An entry of the stream; the fields are alternately names and values."""
    _, at, field, value = fields
    return _entry(entry_id.decode(), at, field, value)


def of_member(member: bytes) -> OutboxEntry:
    """An entry of the sorted set."""
    padded, at, field, value = member.split(b"/", 3)
    milliseconds, sequence = padded.split(b"-")
    return _entry(f"{int(milliseconds)}-{int(sequence)}", at, field, value)


def _entry(entry_id: str, at: bytes, field: bytes, value: bytes) -> OutboxEntry:
    moment = datetime.fromtimestamp(int(at) / 1000, UTC)
    if field == ERASURES:
        return OutboxEntry(entry_id, moment, [], _erasures.decode(value))
    return OutboxEntry(entry_id, moment, _changes.decode(value), [])


def padded_id(entry_id: str) -> str:
    """The beginning of a member."""
    milliseconds, _, sequence = entry_id.partition("-")
    return f"{milliseconds:0>{ID_DIGITS}}-{sequence:0>{ID_DIGITS}}"


def without(member: bytes, students: Collection[str]) -> tuple[bytes, int]:
    """A member without the changes of some students.

    An announcement of their erasure stays: other services need the student's id.

    Returns:
        The member, unchanged if it has nothing of them and empty if nothing else is left; and the number of removed changes.
    """
    padded, at, field, value = member.split(b"/", 3)
    if field != CHANGES:
        return member, 0
    changes = _changes.decode(value)
    kept = [change for change in changes if change.student_id not in students]
    removed = len(changes) - len(kept)
    if not removed:
        return member, 0
    return b"/".join((padded, at, field, msgspec.msgpack.encode(kept))) if kept else b"", removed
