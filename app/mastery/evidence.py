"""Evidence of what a student did, reduced to what the store keeps. Sums are integers, so that order never matters.

An observation is a flat tuple, the form in which it travels to ``merge_evidence.lua``::

    (mark, day, kind, first, second, stamp, event_id, cohort_id)

``mark``      8 bytes that stand for the event_id within one student; equal ids have equal marks
``day``       days since 1970-01-01, UTC
``kind``      one of the four constants below
``first``     completed exercises | correct answers | quality in millionths | 0
``second``    total exercises | questions asked | 1 | 0
``stamp``     microseconds since 1970-01-01: orders completions and cohorts
``event_id``  16 bytes: orders what has the same stamp
``cohort_id`` or "" where the event names none
"""

from typing import Annotated, TypeAlias

from msgspec import Meta

from app.clock import Day

COMPLETION, QUIZ, QUALITY, ACTIVITY = range(4)
MILLIONTHS = 1_000_000
MARK_BYTES = 8  # 1,000 events of one student collide with a chance of 3e-14: see docs/decisions/0003

Observation: TypeAlias = tuple[bytes, Day, int, int, int, int, bytes, str]
Fraction: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
