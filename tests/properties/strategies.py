"""Named strategies for domain values: components, facts of a day, and streams of events of a few students."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from app.events.event import (
    ActivityEvent,
    CompletionEvent,
    Event,
    ExerciseCompletion,
    QualityAssessment,
    QualityEvent,
    QuizEvent,
    QuizPerformance,
)
from app.mastery.facts import DayFacts
from app.mastery.formula import Components
from tests.conftest import NOW

Timed = tuple[Event, datetime]

FRACTIONS = st.floats(0, 1, allow_nan=False)
TODAY: date = NOW.date()

components = st.builds(Components, *([st.none() | FRACTIONS] * 4))
student_ids = st.sampled_from(["s-1", "s-2", "s-3"])
sums = st.one_of(st.integers(0, 30), st.integers(0, 2_000))
cohort_ids = st.sampled_from([None, "c-1", "c-2"])
# Mostly retained days, some expired ones, and few distinct times, so that some events share one.
moments = st.builds(
    lambda age, seconds: (
        datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC) + timedelta(seconds=seconds) - timedelta(days=age)
    ),
    st.one_of(st.integers(0, 16), st.integers(0, 92)),
    st.sampled_from([0, 1, 43_199]),
)


@st.composite
def day_facts(draw: st.DrawFn) -> DayFacts:
    """What happened on a day: anything, but not nothing."""
    asked, submissions, total = draw(sums), draw(st.integers(0, 5)), draw(sums)
    return DayFacts(
        correct=draw(st.integers(0, asked)),
        asked=asked,
        quality_millionths=draw(st.integers(0, submissions * 1_000_000)),
        submissions=submissions,
        active=1 if not (asked or submissions or total) else draw(st.integers(0, 1)),
        completed=draw(st.integers(0, total)),
        total=total,
    )


@st.composite
def _timed(draw: st.DrawFn, tenant_id: str, number: int) -> Timed:
    moment = draw(moments)
    envelope: dict[str, Any] = {
        "event_id": UUID(int=draw(st.integers(0, 2**128 - 1)) ^ number),
        "timestamp": moment.isoformat(),
        "student_id": draw(student_ids),
        "tenant_id": tenant_id,
        "cohort_id": draw(cohort_ids),
    }
    match draw(st.integers(0, 3)):
        case 0:
            total = draw(st.integers(1, 20))
            done = ExerciseCompletion("e", total, draw(st.integers(0, total)))
            return CompletionEvent(**envelope, data=done), moment
        case 1:
            asked = draw(st.integers(1, 20))
            return QuizEvent(**envelope, data=QuizPerformance("q", asked, draw(st.integers(0, asked)))), moment
        case 2:
            data = QualityAssessment("w", draw(FRACTIONS), draw(FRACTIONS), draw(FRACTIONS), draw(st.none() | FRACTIONS))
            return QualityEvent(**envelope, data=data), moment
        case _:
            return ActivityEvent(**envelope), moment


@st.composite
def event_streams(draw: st.DrawFn, tenant_id: str = "t-1") -> list[Timed]:
    """Up to 25 events of three students, with distinct ids."""
    count = draw(st.integers(0, 25))
    events = [draw(_timed(tenant_id, number)) for number in range(count)]
    return list({event.event_id: (event, moment) for event, moment in events}.values())


@st.composite
def deliveries(draw: st.DrawFn, events: list[Timed]) -> list[list[Timed]]:
    """The events in another order, some of them repeated, split into chunks."""
    again = draw(st.lists(st.sampled_from(events), max_size=10)) if events else []
    order = draw(st.permutations([*events, *again]))
    chunks = []
    while order:
        size = draw(st.integers(1, len(order)))
        chunks.append(order[:size])
        order = order[size:]
    return chunks
