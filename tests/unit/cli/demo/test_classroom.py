"""The simulated classroom is realistic and deterministic."""

import json
from collections import Counter
from datetime import UTC, date, datetime

from api.examples import COHORT, STUDENT
from app.events.event import decode_event
from cli.demo.classroom import DEMO_CLASSROOM, EXAMPLE, Classroom, simulate, to_records

LAST_DAY = date(2026, 10, 27)
NOW = datetime(2026, 10, 28, 12, tzinfo=UTC)
EVENTS = simulate(DEMO_CLASSROOM, LAST_DAY)


def test_it_is_a_function_of_seed_and_last_day() -> None:
    """Two runs give the same events, another seed gives others."""
    assert simulate(DEMO_CLASSROOM, LAST_DAY) == EVENTS
    assert simulate(DEMO_CLASSROOM._replace(seed=8), LAST_DAY) != EVENTS


def test_every_event_is_valid_and_has_an_id_of_its_own() -> None:
    """The events pass the same validation as real ones."""
    for _key, value in to_records(EVENTS):
        decode_event(value, NOW)
    assert len({event["event_id"] for event in EVENTS}) == len(EVENTS)


def test_keys_name_tenant_and_student() -> None:
    """The keys are those that producers of the topic use."""
    key, value = next(to_records(EVENTS))
    event = json.loads(value)
    assert key == f"{event['tenant_id']}/{event['student_id']}".encode()


def test_the_examples_are_about_one_of_its_students() -> None:
    """So those of the documentation work in the demo."""
    tenant, student = EXAMPLE
    assert student == STUDENT
    assert {event["cohort_id"] for event in EVENTS if (event["tenant_id"], event["student_id"]) == EXAMPLE} == {COHORT}
    assert tenant in DEMO_CLASSROOM.cohorts


def test_its_size() -> None:
    """200 students of 2 tenants, 60 days, ordered by time."""
    assert len({(event["tenant_id"], event["student_id"]) for event in EVENTS}) == 200
    assert {event["tenant_id"] for event in EVENTS} == {"riverside", "hilltop"}
    days = {event["timestamp"][:10] for event in EVENTS}
    assert (min(days), max(days)) == ("2026-08-29", "2026-10-27")
    assert [event["timestamp"] for event in EVENTS] == sorted(event["timestamp"] for event in EVENTS)


def test_weekly_rhythm() -> None:
    """Fewer students are active on Saturdays than on Wednesdays."""
    active = [event["timestamp"][:10] for event in EVENTS if event["event_type"] == "consistency.activity.recorded"]
    weekdays = Counter(date.fromisoformat(day).weekday() for day in active if day != min(active))  # all are there at first
    assert weekdays[5] < 0.8 * weekdays[2]


def test_drop_outs() -> None:
    """About one student in six is not seen in the last ten days."""
    last_seen: dict[str, str] = {}
    for event in EVENTS:
        last_seen[event["student_id"]] = event["timestamp"][:10]
    gone = sum(day < "2026-10-17" for day in last_seen.values())
    assert 0.05 < gone / len(last_seen) < 0.35


def test_students_differ() -> None:
    """Some complete everything, some hardly anything."""
    final = {
        event["student_id"]: event["data"]["completed_exercises"] / event["data"]["total_exercises"]
        for event in EVENTS
        if event["event_type"] == "exercise.completion.submitted"
    }
    assert min(final.values()) < 0.4
    assert max(final.values()) == 1.0


def test_a_small_classroom() -> None:
    """One student and one day work too."""
    assert len(simulate(Classroom({"t": ("c",)}, students=1, days=1), LAST_DAY)) <= 4
