"""Invariants 1, 2 and 4 of the design on the real store: order, repetition, chunking and crashes change nothing.

Each example has its own tenant, so that it does not see facts of others.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from app.bootstrap import Engine
from app.clock import day_number
from app.errors import NotFound
from app.events.event import ActivityEvent
from app.events.event_evidence import observe
from app.events.record_events import record_events
from app.mastery.components import daily_components, window_on
from app.mastery.formula import mastery_score
from app.mastery.query_mastery import query_mastery
from tests.conftest import NOW
from tests.properties.model import RETENTION_DAYS, model_cohort, model_components
from tests.properties.strategies import TODAY, Timed, deliveries, event_streams

STUDENTS = ("s-1", "s-2", "s-3")
TODAY_NUMBER = day_number(TODAY)

against_the_store = settings(
    max_examples=150,
    deadline=None,  # a real server's time varies
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # the store is shared, the tenants are not
)


def of_tenant(events: Iterable[Timed], tenant: str) -> list[Timed]:
    return [(replace(event, tenant_id=tenant), moment) for event, moment in events]


def stored(engine: Engine, tenant: str) -> dict[str, Any]:
    """Everything stored about a tenant's students, except how often it was written."""
    state: dict[str, Any] = {}
    for student in STUDENTS:
        try:
            record = engine.mastery.facts.read(tenant, student, TODAY_NUMBER)
        except NotFound:
            continue
        state[student] = record
    state["rankings"] = {cohort: engine.mastery.scores.ranking(tenant, cohort) for cohort in ("c-1", "c-2")}
    return state


def is_retained(moment: datetime) -> bool:
    return TODAY_NUMBER - day_number(moment) < RETENTION_DAYS


@against_the_store
@given(st.data())
def test_any_order_repetition_and_chunking_give_the_model_s_mastery(engine: Engine, data: st.DataObject) -> None:
    """Facts, mastery and ranks equal those of the slow model, the window that of the facts; every event is counted once."""
    tenant = uuid4().hex
    events = of_tenant(data.draw(event_streams()), tenant)
    chunks = data.draw(deliveries(events))
    for chunk in chunks:
        record_events(chunk, stores=engine.mastery, now=NOW)

    ranks = {}
    for student in STUDENTS:
        own = [(event, moment) for event, moment in events if event.student_id == student]
        expected = model_components(own, TODAY)
        if expected is None:
            with pytest.raises(NotFound):
                engine.mastery.facts.read(tenant, student, TODAY_NUMBER)
            continue
        record = engine.mastery.facts.read(tenant, student, TODAY_NUMBER)
        cohort = model_cohort(own, TODAY)
        assert record.cohort_id == cohort
        day, components = list(daily_components(record.days, TODAY_NUMBER))[-1]
        assert day == TODAY_NUMBER
        assert components == pytest.approx(expected)
        (merged,) = engine.mastery.facts.merge(tenant, {student: []}, TODAY_NUMBER)
        assert merged.window is not None
        assert window_on(record.days, TODAY_NUMBER, RETENTION_DAYS) == merged.window._replace(revision=0)
        if cohort:
            ranks[cohort, student] = mastery_score(expected)
    assert {
        (cohort, student): score
        for cohort in ("c-1", "c-2")
        for student, score in engine.mastery.scores.ranking(tenant, cohort)
    } == pytest.approx(ranks)

    delivered = sum(map(len, chunks))
    retained = sum(is_retained(moment) for _, moment in events)
    totals = engine.event_totals.of(tenant)
    assert totals.applied == retained
    assert sum(totals) == delivered


@against_the_store
@given(st.data())
def test_a_crash_between_facts_and_score_heals_when_the_chunk_comes_again(engine: Engine, data: st.DataObject) -> None:
    """Whatever was done before the crash, redelivery gives the same result as a run without it."""
    disturbed, calm = uuid4().hex, uuid4().hex
    events = data.draw(event_streams())
    chunks = data.draw(deliveries(events))
    for chunk in chunks:
        if data.draw(st.booleans(), label="crash"):
            half = of_tenant(chunk, disturbed)[: data.draw(st.integers(0, len(chunk)), label="done before it")]
            observations: dict[str, list[Any]] = {}
            for event, moment in half:
                if is_retained(moment):
                    observations.setdefault(event.student_id, []).append(observe(event, moment))
            engine.mastery.facts.merge(disturbed, observations, TODAY_NUMBER)  # and no score
        record_events(of_tenant(chunk, disturbed), stores=engine.mastery, now=NOW)
        record_events(of_tenant(chunk, calm), stores=engine.mastery, now=NOW)
    assert stored(engine, disturbed) == stored(engine, calm)


@against_the_store
@given(st.data())
def test_tenants_and_students_never_mix(engine: Engine, data: st.DataObject) -> None:
    """Events of another tenant for students with the same ids change nothing."""
    mine, yours, alone = uuid4().hex, uuid4().hex, uuid4().hex
    my_events, your_events = data.draw(event_streams()), data.draw(event_streams())
    mixed = data.draw(st.permutations(of_tenant(my_events, mine) + of_tenant(your_events, yours)))
    record_events(mixed, stores=engine.mastery, now=NOW)
    record_events(of_tenant(my_events, alone), stores=engine.mastery, now=NOW)
    assert stored(engine, mine) == stored(engine, alone)


@against_the_store
@given(event_streams())
def test_the_answer_s_numbers_are_fractions(engine: Engine, events: list[Timed]) -> None:
    """Score, coverage and average of every student are within 0..1."""
    tenant = uuid4().hex
    record_events(of_tenant(events, tenant), stores=engine.mastery, now=NOW)
    for student in STUDENTS:
        try:
            standing = query_mastery(tenant, student, stores=engine.mastery, now=NOW)
        except NotFound:
            continue
        assert 0 <= standing.score <= 1
        assert 0 <= standing.coverage <= 1
        assert 0 <= standing.historical_average <= 1


def test_an_event_sent_again_with_another_day_is_still_a_duplicate(engine: Engine) -> None:
    """While its day is retained, an event is identified by its id alone."""
    event_id = uuid4()
    first = ActivityEvent(event_id=event_id, timestamp="", student_id="s-1", tenant_id="t")
    assert record_events([(first, NOW - timedelta(days=3))], stores=engine.mastery, now=NOW).applied == 1
    assert record_events([(first, NOW)], stores=engine.mastery, now=NOW).duplicates == 1
