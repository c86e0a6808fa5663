"""Erases students while faults happen and events arrive again, and then takes the whole state away."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import NamedTuple

import msgspec
from confluent_kafka import Producer

from app.bootstrap import Engine
from app.clock import day_number
from app.errors import NotFound
from app.events.event_log import record_key
from app.mastery.components import window_components
from app.privacy.erase_students import request_erasures
from app.privacy.erasure import ErasureStatus
from consumers.kafka.lag import Lag
from tests.chaos.cluster import Cluster
from tests.chaos.faults import Fault
from tests.chaos.observed_run import SETTLE_SECONDS, SHOWN, ObservedRun
from tests.chaos.verdict import unfinished
from tests.learning_events import quiz

TENANT = "chaos"
STUDENTS, EVENTS = 300, 10
ERASED_A_FAULT = 5


class Sent(NamedTuple):
    """An event: its student, how many of its ten answers are correct, and its JSON."""

    student: str
    correct: int
    value: bytes


class ErasureRun(ObservedRun):
    """A class whose events arrive again and again; before each fault some of its students are erased."""

    def __init__(self, cluster: Cluster, faults: Sequence[Fault], *, seed: int, tell: Callable[[str], None]) -> None:
        super().__init__(cluster, faults, seed=seed, tell=tell)
        self._events = list(events(self._rng))
        self._erased: list[str] = []

    def conduct(self) -> None:
        """Erase students around each fault; then lose the whole state, and let Kafka rebuild it. Check both times."""
        self._note(f"{STUDENTS} students, {len(self._faults)} faults, seed {self._seed}")
        self._produce(self._events)
        self._wait(self._is_read, "every event is recorded")
        for fault in self._faults:
            self._erase()
            self._produce(self._rng.sample(self._events, len(self._events) // 3))
            self._apply(fault)
        self._produce(self._events)
        self._settle()
        self._check()
        self._lose_the_state()
        self._settle()
        self._check()

    def _erase(self) -> None:
        """Request the erasure of some more students, until it is accepted."""
        left = sorted({event.student for event in self._events} - set(self._erased))
        chosen = self._rng.sample(left, ERASED_A_FAULT)
        engine = self._cluster.engine
        named = {engine.audit.pseudonym(TENANT, student): student for student in chosen}

        def is_accepted() -> bool:
            request_erasures(
                TENANT, named, facts=engine.mastery.facts, erasures=engine.erasures, announce=engine.outbox.announce_erased
            )
            return True

        self._wait(is_accepted, f"the erasure of {ERASED_A_FAULT} students is accepted")
        self._erased += chosen

    def _lose_the_state(self) -> None:
        """Redis comes back empty, and the bridge reads every topic from its first offset."""
        self._note(f"everything stopped: {self._cluster.stop()}")
        self._cluster.valkey.start()
        self._cluster.valkey.wait_until_loaded()
        self._cluster.engine.redis.flushall()
        self._cluster.valkey.terminate()
        self._cluster.valkey.wait()
        self._cluster.start()
        self._note("everything started again, with an empty Redis")

    def _settle(self) -> None:
        self._wait(self._is_read, "every event is recorded")
        self._wait(self._are_erased, "every erasure is done")

    def _is_read(self) -> bool:
        lag = Lag(self._cluster.engine)
        try:
            return lag.records() == 0 and unfinished(self._cluster.engine) == 0
        finally:
            lag.close()

    def _are_erased(self) -> bool:
        """Whether no erasure runs. After the loss of the state there may be none: the students never came back."""
        engine = self._cluster.engine
        for student in self._erased:
            try:
                found = engine.erasures.read(TENANT, engine.audit.pseudonyms(TENANT, student))
            except NotFound:
                continue
            if found.status is not ErasureStatus.DONE:
                return False
        return not engine.outbox.entries([TENANT])

    def _check(self) -> None:
        """The erased are gone, and everyone else has each event once."""
        assert list(islice(wrong_students(self._cluster.engine, self._events, set(self._erased)), SHOWN)) == []

    def _produce(self, sent: Sequence[Sent]) -> None:
        producer = Producer({"bootstrap.servers": self._cluster.settings.kafka_bootstrap, "enable.idempotence": True})
        for event in sent:
            producer.produce(self._cluster.settings.events_topic, event.value, record_key(TENANT, event.student))
        assert producer.flush(SETTLE_SECONDS) == 0


def events(rng: Random) -> Iterator[Sent]:
    """Some quizzes of each student in the last weeks."""
    now = datetime.now(UTC)
    for _ in range(EVENTS):
        for number in range(STUDENTS):
            timestamp = (now - timedelta(hours=rng.uniform(1, 500))).isoformat()
            correct = rng.randint(0, 10)
            made = quiz(tenant_id=TENANT, student_id=f"s-{number:03}", timestamp=timestamp, correct_answers=correct)
            yield Sent(made["student_id"], correct, msgspec.json.encode(made))


def wrong_students(engine: Engine, sent: Sequence[Sent], erased: set[str]) -> Iterator[str]:
    """Every difference between what is stored and what should be."""
    today = day_number(datetime.now(UTC))
    members = engine.mastery.scores.members(TENANT)
    yield from (f"{student} is a member" for student in sorted(members & erased))
    for student in sorted({event.student for event in sent}):
        (merged,) = engine.mastery.facts.merge(TENANT, {student: []}, today)
        if student in erased:
            if merged.window is not None:
                yield f"{student} has facts: {merged.window}"
            continue
        due = sum(event.correct for event in sent if event.student == student)
        if merged.window is None or (merged.window.correct, merged.window.asked) != (due, 10 * EVENTS):
            yield f"{student}: {merged.window and window_components(merged.window)}, not {due} of {10 * EVENTS}"
