"""Students are erased while others are scored and a relay publishes, in random order, on every server."""

import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import count, pairwise
from random import Random
from threading import Event as Flag
from threading import Lock

import pytest

from app.bootstrap import Engine
from app.clock import day_number
from app.mastery import outbox as outbox_module
from app.mastery.derive_scores import derive_scores
from app.mastery.evidence import QUIZ, Observation
from app.mastery.result_messages import Change
from tests.conftest import NOW

TODAY = day_number(NOW)
TENANT, STUDENTS, ERASED, LEAST_CHANGES = "t", 24, 16, 1_500


class Classroom:
    """Writers, erasers and a reader of one outbox. Like the engine's, an erasure begins when nobody can write any more."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self._engine = engine
        self._seed = seed
        self._numbers = count()
        self._lock = Lock()
        self.active = {f"s-{number}" for number in range(STUDENTS)}
        self._erased: set[str] = set()
        self._is_written = Flag()
        self.published: dict[str, list[Change]] = defaultdict(list)
        self.published_late: list[str] = []

    def write(self) -> None:
        """Change scores of random students until all erasures are done."""
        random = Random(f"{self._seed}-writer")
        while len(self.active) > STUDENTS - ERASED or next(self._numbers) < LEAST_CHANGES:
            with self._lock:
                students = random.sample(sorted(self.active), k=random.randint(1, 4))
                merged = self._engine.mastery.facts.merge(TENANT, {each: [self._evidence(random)] for each in students}, TODAY)
                derive_scores(TENANT, merged, stores=self._engine.mastery, now=NOW)
        self._is_written.set()

    def _evidence(self, random: Random) -> Observation:
        number = next(self._numbers)
        correct = random.randint(0, 1_000_000)
        return number.to_bytes(8), TODAY, QUIZ, correct, 1_000_000, number, number.to_bytes(16), "c-1"

    def erase(self, name: str) -> None:
        """Erase random students, one or some at a time."""
        random = Random(f"{self._seed}-{name}")
        while True:
            with self._lock:
                left = len(self.active) - (STUDENTS - ERASED)
                if left == 0:
                    return
                chosen = set(random.sample(sorted(self.active), k=random.randint(1, min(left, 3))))
                self.active -= chosen
            assert self._engine.outbox.erase(TENANT, sorted(chosen)).is_done
            with self._lock:
                self._erased |= chosen
            time.sleep(random.random() / 10)

    def publish(self) -> None:
        """Read and acknowledge like the relay, until nothing is left; sometimes let a backlog grow, or crash in between."""
        random = Random(f"{self._seed}-reader")
        while True:
            is_last = self._is_written.is_set()
            with self._lock:
                erased = set(self._erased)
            entries = self._engine.outbox.read([TENANT], random.choice([1, 7, 50])).get(TENANT, [])
            changes = [change for entry in entries for change in entry.changes]
            self.published_late += [change.student_id for change in changes if change.student_id in erased]
            if entries and random.random() < 0.9:
                self._engine.outbox.acknowledge(TENANT, entries[-1].entry_id)
                for change in changes:
                    self.published[change.student_id].append(change)
            if random.random() < 0.05:
                time.sleep(random.random() / 5)
            if is_last and not entries:
                return


@pytest.mark.parametrize("seed", [1, 2])
def test_erasures_while_others_are_scored_and_published(engine: Engine, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change of the others is published once and in order; after an erasure, none of the erased student.

    A lost, repeated or misplaced change would break the chain of previous scores.
    """
    monkeypatch.setattr(outbox_module, "PAGE", 5)
    classroom = Classroom(engine, seed)
    with ThreadPoolExecutor() as threads:
        parts = [threads.submit(classroom.write), threads.submit(classroom.publish)]
        parts += [threads.submit(classroom.erase, name) for name in ("first", "second")]
        for part in parts:
            part.result()
    assert classroom.published_late == []
    assert engine.outbox.entries([TENANT]) == {}
    scores = dict(engine.mastery.scores.ranking(TENANT, "c-1"))
    for student in classroom.active:
        changes = classroom.published[student]
        assert [change.previous for change in changes] == [-1, *(before.millionths for before in changes[:-1])]
        assert changes[-1].millionths == round(scores[student] * 1_000_000)
    for changes in classroom.published.values():
        assert all(before.revision < after.revision for before, after in pairwise(changes))
