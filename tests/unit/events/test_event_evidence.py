"""The observation that each event becomes."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.events.event import decode_event
from app.events.event_evidence import observe
from app.mastery.evidence import ACTIVITY, COMPLETION, QUALITY, QUIZ, Observation
from tests.learning_events import activity, completion, quality, quiz

NOW = datetime(2026, 10, 28, 12, tzinfo=UTC)


def observed(event: dict[str, Any]) -> Observation:
    return observe(*decode_event(json.dumps(event).encode(), NOW))


@pytest.mark.parametrize(
    ("event", "evidence"),
    [
        (completion(), (COMPLETION, 4, 5)),
        (quiz(), (QUIZ, 8, 10)),
        (quality(), (QUALITY, 800_000, 1)),
        (quality(peer_review_score=0.4), (QUALITY, 700_000, 1)),
        (quality(code_quality_score=0, correctness_score=0, efficiency_score=0.000001), (QUALITY, 0, 1)),
        (activity(), (ACTIVITY, 0, 0)),
    ],
)
def test_evidence_is_integers(event: dict[str, Any], evidence: tuple[int, int, int]) -> None:
    """Sums of integers do not depend on the order in which they are added."""
    assert observed(event)[2:5] == evidence


def test_the_day_is_utc() -> None:
    """Half past one in Paris can still be the previous day in UTC."""
    assert (
        observed(activity(timestamp="2026-10-28T01:30:00+02:00"))[1] == observed(activity(timestamp="2026-10-27T12:00:00Z"))[1]
    )


def test_the_stamp_orders_microseconds() -> None:
    """Completions a microsecond apart are ordered."""
    first = observed(completion(timestamp="2026-10-27T09:00:00.000001Z"))
    second = observed(completion(timestamp="2026-10-27T09:00:00.000002Z"))
    assert second[5] - first[5] == 1


def test_one_id_has_one_mark() -> None:
    """The spelling of the id and the other fields do not matter."""
    event_id = "ad0cd920-fc77-5e71-9d2f-29ee6cdc4010"
    first, second = observed(activity(event_id=event_id)), observed(quiz(event_id=event_id.upper()))
    assert first[0] == second[0]
    assert first[6] == second[6] == UUID(event_id).bytes
    assert first[0] != observed(activity())[0]


def test_ids_that_count_up_have_unrelated_marks() -> None:
    """Time-ordered UUIDs differ in few positions; their marks must still not collide."""
    marks = {observed(activity(event_id=str(UUID(int=0x0192_0000_0000_7000_8000_0000_0000_0000 + i))))[0] for i in range(1000)}
    assert len(marks) == 1000


def test_an_event_without_a_cohort_names_none() -> None:
    """The cohort is optional."""
    assert observed(activity(cohort_id=None))[7] == ""
