"""The results of ``merge_evidence.lua``."""

from typing import Any, NamedTuple

import msgpack

from app.mastery.facts import Window

# Errors of merge_evidence.lua: a new student beyond the tenant's quota, and a student with the maximum number of events.
OVER_QUOTA = "QUOTA"
OVER_EVENTS = "EVENTS"


class Merged(NamedTuple):
    """The result for one student: outcomes in order, and the window, if any.

    An outcome is "1" applied, "0" duplicate, "x" expired, "e" not later than the student's erasure.

    ``error`` says why nothing was merged: the record is damaged; ``repeat_only`` skipped it; the student is new and beyond the
    tenant's quota (``OVER_QUOTA``); or the student has too many events (``OVER_EVENTS``).
    """

    student_id: str
    outcomes: str = ""
    window: Window | None = None
    scored_revision: int = 0
    error: str | None = None


def decode_merged(student: str, reply: list[Any] | None) -> Merged:
    """The result from the script's reply for one student."""
    if reply is None:
        return Merged(student, error="not merged before")
    outcomes, window, score = (*reply, None, None)[:3]
    if outcomes is None:
        return Merged(student, error=window.decode())
    return Merged(
        student,
        outcomes.decode(),
        Window(*msgpack.unpackb(window)) if window else None,
        msgpack.unpackb(score)[0] if score else 0,
    )
