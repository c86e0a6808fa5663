"""Evidence about a student, reduced to the stored values. Sums are integers, so that they do not depend on the order.

An observation is a flat tuple, in the format of ``merge_evidence.lua``::

    (mark, day, kind, first, second, stamp, event_id, cohort_id)

``mark``      8-byte hash of the event_id, for deduplication within a student
``day``       days since 1970-01-01, UTC
``kind``      one of the four constants below
``first``     completed exercises | correct answers | quality in millionths | 0
``second``    total exercises | questions asked | 1 | 0
``stamp``     microseconds since 1970-01-01: orders completions and cohorts
``event_id``  16 bytes: orders observations with the same stamp
``cohort_id`` or "" if the event has none
"""

from typing import Annotated, TypeAlias

from msgspec import Meta

from app.clock import Day

COMPLETION, QUIZ, QUALITY, ACTIVITY = range(4)
MILLIONTHS = 1_000_000
MARK_BYTES = 8  # among 1,000 events of a student, a collision has a probability of 3e-14; see docs/decisions/0003

Observation: TypeAlias = tuple[bytes, Day, int, int, int, int, bytes, str]
Fraction: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
