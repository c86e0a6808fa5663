"""The messages about changes of mastery and about erased students: JSON on ``mastery.results``. Source: design section 4.

The messages about a score derive from a ``Change``, which is stored atomically with it. Their ids derive from student,
revision, day and storage time, so that readers can drop duplicates; a student's messages are in the order of revisions. (The
storage time, because after a crash of Redis another change may get a lost revision's number.)
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, TypeAlias
from uuid import UUID, uuid5

import msgspec
from msgspec import Meta, Struct

from app.clock import Day, day_date, moment_of
from app.identifiers import Identifier
from app.mastery.evidence import MILLIONTHS, Fraction
from app.mastery.formula import Level, classify

VERSION = "1.0"  # of the contract of all three topics: docs/events.md says when it changes
# The namespace of UUIDv5 ids (RFC 9562). It must not change, since the same changes would get other ids.
_NAMESPACE = UUID("6f0d2f3a-58a1-4a86-9d0b-6c1c4f6f7a51")


class Change(Struct, frozen=True, array_like=True):
    """One change of a stored score, as ``put_scores.lua`` writes it. Scores are in millionths; ``previous`` is -1 for none."""

    student_id: str
    cohort_id: str  # "": none
    revision: int
    day: Day
    millionths: int
    previous: int


class Erasure(Struct, frozen=True, array_like=True):
    """A student ("": all of the tenant) who is erased up to a moment, in microseconds since 1970-01-01."""

    student_id: str
    until: int


class ScoreChange(Struct, frozen=True, kw_only=True):
    """The score before and after. A missing previous score is null, and counts as 0 for its level."""

    revision: Annotated[int, Meta(ge=1, description="Increases with every change of the student's evidence, and every day")]
    date: Annotated[date, Meta(description="The day (UTC) of the score")]
    score: Annotated[Fraction, Meta(description="Mastery, in steps of a millionth")]
    level: Level
    previous_score: Annotated[Fraction | None, Meta(description="The score before; null if there was none")]
    previous_level: Annotated[Level | None, Meta(description="Its level; null if there was none")]


class ErasureData(Struct, frozen=True, kw_only=True):
    """What is erased."""

    erased_until: Annotated[
        datetime,
        Meta(tz=True, description="Erase whatever you have about the student up to this moment (UTC); keep later data"),
    ]


class Message(Struct, frozen=True, kw_only=True, tag_field="event_type"):
    """The envelope, as for learning events."""

    event_id: Annotated[UUID, Meta(description="Derives from what the message says: a repeat has the same id")]
    timestamp: Annotated[datetime, Meta(tz=True, description="When the score was stored or the erasure requested, UTC")]
    tenant_id: Identifier
    student_id: Identifier
    version: Annotated[str, Meta(description="The version of this contract")]


class ScoreMessage(Message, frozen=True, kw_only=True):
    """A message about a student's score."""

    cohort_id: Annotated[Identifier | None, Meta(description="The student's cohort; null for none")]
    data: ScoreChange


class MasteryUpdated(ScoreMessage, frozen=True, kw_only=True, tag="mastery.updated"):
    """The score changed."""


class ThresholdReached(ScoreMessage, frozen=True, kw_only=True, tag="mastery.threshold.reached"):
    """The score's level changed, up or down."""


class StudentErased(Message, frozen=True, kw_only=True, tag="student.erased"):
    """The engine erased a student: erase them too."""

    data: ErasureData


Update: TypeAlias = MasteryUpdated | ThresholdReached


def updates(tenant: str, change: Change, at: datetime) -> Iterator[Update]:
    """The messages of a change that was stored at a moment: two if the level changed, otherwise one."""
    score = change.millionths / MILLIONTHS
    previous = change.previous / MILLIONTHS if change.previous >= 0 else None
    level, previous_level = classify(score), classify(previous or 0.0)
    change_of_score = ScoreChange(
        revision=change.revision,
        date=day_date(change.day),
        score=score,
        level=level,
        previous_score=previous,
        previous_level=None if previous is None else previous_level,
    )
    moment = round(at.timestamp() * 1000)
    kinds: list[type[MasteryUpdated] | type[ThresholdReached]] = [MasteryUpdated]
    if level is not previous_level:
        kinds.append(ThresholdReached)
    for kind in kinds:
        name = f"{tenant}/{change.student_id}/{change.day}/{change.revision}/{moment}/{kind.__struct_config__.tag}"
        yield kind(
            event_id=uuid5(_NAMESPACE, name),
            timestamp=at.astimezone(UTC),
            tenant_id=tenant,
            student_id=change.student_id,
            cohort_id=change.cohort_id or None,
            version=VERSION,
            data=change_of_score,
        )


def erased_message(tenant: str, erasure: Erasure) -> StudentErased:
    """The message about an erased student."""
    until = moment_of(erasure.until)
    return StudentErased(
        event_id=uuid5(_NAMESPACE, f"{tenant}/{erasure.student_id}/{erasure.until}/{StudentErased.__struct_config__.tag}"),
        timestamp=until,
        tenant_id=tenant,
        student_id=erasure.student_id,
        version=VERSION,
        data=ErasureData(erased_until=until),
    )


encode_message = msgspec.json.Encoder().encode
