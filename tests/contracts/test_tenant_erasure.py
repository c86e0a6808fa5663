"""The erasure of all students of a tenant, also while students come and return."""

import numpy as np

from app.bootstrap import Engine
from app.clock import day_number
from app.mastery.rankings import Metric
from app.predictions.model_store import Attempt
from app.predictions.peer_store import Observed
from app.privacy.erase_students import run_erasures
from app.privacy.erasure import ErasureStatus
from app.pseudonyms import WHOLE_TENANT
from app.security.task_requests import TaskRequest
from app.storage.erased import Erased, ErasedFacts
from tasks.privacy import stores_of_students
from tests.conftest import NOW
from tests.contracts.erasures import TENANT, Other, announced, event, record, request_all, run, start
from tests.stack import wait_for
from tests.stored_models import CONTENT, summary

TODAY = day_number(NOW)
FIVE = np.arange(5, dtype=np.uint32)


def test_students_who_returned_do_not_stop_the_erasure_of_a_tenant(engine: Engine) -> None:
    """They stay, with what they have decided since, and are not announced; the walk passes them without a step."""
    record(engine, *(event(f"s-{number}") for number in range(1_500)))
    request_all(engine)
    run(engine)
    request_all(engine)
    before = len(announced(engine))
    record(engine, *(event(f"s-{number}", ago=-2) for number in range(1_500)))
    asked: list[str] = []

    def erase_others(_tenant: str, students: list[str]) -> Erased:
        asked.extend(students)
        return Erased(0)

    steps = run(engine, erase_others)
    assert (len(steps), asked, len(announced(engine))) == (1, [], before)
    assert len(engine.mastery.scores.members(TENANT)) == 1_500


def test_a_whole_tenant_is_erased(engine: Engine) -> None:
    """All its students, also those without facts; another tenant's stay, and so does a student who comes meanwhile."""
    record(engine, *(event(f"s-{number}") for number in range(1_200)))
    record(engine, event("s-1", tenant_id="u"))
    engine.task_requests.remember(TENANT, "task", TaskRequest("student:s-9999", ["s-9999"]), 60)
    asked: set[str] = set()

    def erase_others(_tenant: str, students: list[str]) -> Erased:
        asked.update(students)
        if len(asked) == len(students):
            record(engine, event("s-new", ago=-1))
        return Erased(0)

    pending = request_all(engine)
    assert record(engine, event("s-2"), event("s-another")).erased == 2
    attempts = run(engine, erase_others)
    assert attempts[-1].receipt is not None
    assert attempts[-1].receipt.erased["facts"] == 1_200
    assert asked >= {f"s-{number}" for number in range(1_200)} | {"s-9999"}
    assert engine.mastery.scores.members(TENANT) == {"s-new"}
    assert engine.mastery.scores.members("u") == {"s-1"}
    assert ErasureStatus.DONE is engine.erasures.read(TENANT, [WHOLE_TENANT]).status
    assert engine.mastery.facts.erase(TENANT, {"s-new": pending.requested}) == ErasedFacts(0, frozenset({"s-new"}))


def test_what_was_learned_meanwhile_is_erased(engine: Engine) -> None:
    """Models and published statistics go first, and what was trained meanwhile goes last. Other tenants keep theirs."""
    record(engine, *(event(f"s-{number}") for number in range(3)))
    models, peers, published = engine.learning.models, engine.learning.peers, engine.published
    left: list[str | None] = []

    def learn(tenant: str) -> None:
        models.put(summary("v-1", tenant), CONTENT)
        models.promote(tenant, "v-1")
        models.note_attempt(tenant, Attempt(TODAY, "promoted"))

    def erase_others(_tenant: str, _students: list[str]) -> Erased:
        left.append(models.promoted(TENANT))
        learn(TENANT)
        return Erased(0)

    (cohort,) = engine.mastery.scores.cohorts(TENANT)
    for tenant in (TENANT, "u"):
        learn(tenant)
        peers.put(tenant, cohort, Observed(TODAY, None))
        published.publish(tenant, cohort, published.begin(tenant, cohort, TODAY), {Metric.MASTERY: FIVE})
    request_all(engine)
    stores = stores_of_students(engine)._replace(others={"store": Other(erase_others)})
    *_, last = run_erasures(TENANT, stores=stores, erasures=engine.erasures, audit=lambda _: None)
    assert last.receipt is not None
    assert last.receipt.erased == {"facts": 3, "models": 2}
    assert left == [None]
    assert (models.promoted(TENANT), models.summaries(TENANT), models.latest_attempt(TENANT)) == (None, {}, None)
    assert (peers.read(TENANT, [cohort]), peers.read("u", [cohort])) == ([None], [Observed(TODAY, None)])
    assert [published.read(tenant, cohort, dict.fromkeys(Metric)) is None for tenant in (TENANT, "u")] == [True, False]
    assert not published.begin(TENANT, cohort, TODAY).published
    assert models.promoted("u") == "v-1"


def test_the_erasure_of_a_tenant_goes_on_where_it_was_stopped(engine: Engine) -> None:
    """A slice ends after any step; the next one has less to do."""
    record(engine, *(event(f"s-{number}") for number in range(2_500)))
    request_all(engine)
    next(start(engine))
    left = len(engine.mastery.scores.members(TENANT))
    assert 0 < left < 2_500
    assert run(engine)[-1].receipt is not None
    assert engine.mastery.scores.members(TENANT) == set()
    assert engine.erasures.read(TENANT, [WHOLE_TENANT]).erased["facts"] == 2_500


def test_events_after_the_request_are_not_refused(engine: Engine) -> None:
    """However late the walk reaches their students: an event between the two that arrives after it counts, once."""
    record(engine, event("s-1"))
    pending = request_all(engine)
    wait_for(lambda: engine.erasures.touch(TENANT) > pending.requested + 200_000, 10)
    between = event("s-1", ago=0.1)
    run(engine)
    outcome = record(engine, event("s-1"), between)
    assert (outcome.applied, outcome.erased) == (1, 1)
    assert record(engine, between).applied == 0
