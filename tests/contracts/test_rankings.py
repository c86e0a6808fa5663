"""The rankings that statistics are made of equal those that are computed from every student's mastery, on every server."""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import NamedTuple

import msgpack
import pytest

from app.bootstrap import Engine, bootstrap
from app.clock import day_number, microseconds
from app.config.settings import load_settings
from app.consent.change_consent import change_consent
from app.consent.consent import Author
from app.errors import NotFound
from app.mastery.derive_scores import derive_scores, refresh_scores
from app.mastery.evidence import ACTIVITY, COMPLETION, QUALITY, QUIZ, Observation
from app.mastery.query_mastery import Standing, query_mastery
from app.mastery.rankings import COMPONENT_METRICS, Metric, Ranking
from app.purposes import Purpose
from app.storage.scripts import RANKINGS
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, keys, merge, observation

STUDENTS = [f"s-{number}" for number in range(12)]
COHORTS = ("c-1", "c-2")
STEPS = 60
OLD_SCORE = msgpack.packb((1, TODAY, 150_000))  # without components
Values = Mapping[str, int]  # by student, in millionths


class Place(NamedTuple):
    """Which ranking."""

    cohort: str
    metric: Metric


def values_of(standing: Standing) -> dict[Metric, int]:
    """What a student is ranked by: what a query answers."""
    found = {Metric.MASTERY: standing.score} | {
        metric: score for metric in COMPONENT_METRICS if (score := standing.components[metric]) is not None
    }
    return {metric: round(score * 1_000_000) for metric, score in found.items()}


def brute_force(engine: Engine, now: datetime) -> dict[Place, dict[str, int]]:
    """Every ranking, from a query about each student."""
    rankings: dict[Place, dict[str, int]] = {Place(cohort, metric): {} for cohort in COHORTS for metric in Metric}
    for student in STUDENTS:
        try:
            standing = query_mastery("t", student, stores=engine.mastery, now=now)
        except NotFound:
            continue
        allows = engine.consents.read("t", student).allows(Purpose.COHORT_STATISTICS)
        if allows and standing.cohort_id:
            for metric, value in values_of(standing).items():
                rankings[Place(standing.cohort_id, metric)][student] = value
    return rankings


def expected(values: Values, student: str, outside: int) -> Ranking:
    ordered = sorted(values.values())
    ranks = [quarter * (len(ordered) - 1) // 4 for quarter in (1, 2, 3)]
    value = values.get(student, outside)
    return Ranking(
        students=len(ordered),
        total=sum(ordered),
        squares=sum(each * each for each in ordered),
        quartiles=tuple((ordered[at], ordered[min(at + 1, len(ordered) - 1)]) for at in ranks if ordered),
        value=value,
        is_ranked=student in values,
        below=sum(each < value for each in ordered),
        equal=sum(each == value for each in ordered),
    )


def assert_equal_to_brute_force(engine: Engine, now: datetime) -> None:
    outside = 400_000
    for place, values in brute_force(engine, now).items():
        for student in STUDENTS[:3]:
            read = engine.mastery.rankings.read(
                "t", place.cohort, list(Metric), student, dict.fromkeys(Metric, outside)
            ).by_metric
            assert read[place.metric] == expected(values, student, outside), place
        assert engine.mastery.rankings.values("t", place.cohort, place.metric) == sorted(values.values())


class Walk:
    """Random things that happen to a tenant's students."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine, self.random, self.numbers, self.now = engine, random.Random(seed), count(1), NOW

    def step(self) -> None:
        """One of them; events and erasures are more frequent than days that pass."""
        learn: list[Callable[[str], None]] = [self.learn, self.learn, self.learn, self.learn_together]
        self.random.choice([*learn, self.decide, self.erase, self.next_day])(self.random.choice(STUDENTS))

    def learn(self, *students: str) -> None:
        """Evidence, in one call of the scripts for all of these students."""
        today = day_number(self.now)
        merged = self.engine.mastery.facts.merge("t", {student: [self.event()] for student in students}, today)
        derive_scores("t", merged, stores=self.engine.mastery, now=self.now)

    def learn_together(self, _student: str) -> None:
        """The sums of a ranking change by what all of them change."""
        self.learn(*STUDENTS)

    def event(self) -> Observation:
        """Of any kind, also of an earlier day, from a cohort or none; few values, so that there are ties."""
        kind = self.random.choice([COMPLETION, QUIZ, QUALITY, ACTIVITY])
        first, second = {QUALITY: (500_000, 1), ACTIVITY: (0, 0)}.get(kind, (self.random.randint(0, 3), 3))
        day = day_number(self.now) - self.random.randint(0, 20)
        cohort = self.random.choice([*COHORTS, ""])
        return observation(next(self.numbers), day, kind, first, second, cohort)

    def decide(self, student: str) -> None:
        by, wanted = Author("student", "x"), {Purpose.COHORT_STATISTICS: self.random.random() < 0.5}
        change_consent("t", student, wanted, by, consents=self.engine.consents, now=self.now)

    def erase(self, student: str) -> None:
        self.engine.mastery.facts.erase("t", {student: microseconds(self.now) - 30 * 86_400_000_000}, up_to_request=True)

    def next_day(self, _student: str) -> None:
        """Or some weeks later, when evidence and memberships have expired."""
        self.now += timedelta(days=self.random.choice([1, 1, 1, 40]))
        list(refresh_scores(stores=self.engine.mastery, consents=self.engine.consents, now=self.now, batch=5))


@pytest.mark.parametrize("seed", range(6))
def test_rankings_equal_brute_force_whatever_happens(engine: Engine, seed: int) -> None:
    """After events in any order, moves, erasures, decisions and days that pass: values, sums, quartiles, ties and ranks."""
    walk = Walk(engine, seed)
    for _ in range(STEPS):
        walk.step()
        assert_equal_to_brute_force(engine, walk.now)
    assert any(brute_force(engine, walk.now).values())


@pytest.mark.parametrize("stored", [None, 100_000])
def test_sums_stay_those_of_the_values(engine: Engine, stored: int | None) -> None:
    """Also if the ranking has another value than the score, or not the student: the next score corrects the value."""
    for student in STUDENTS[:3]:
        merge(engine, observation(1, TODAY, QUIZ, 1, 2), student=student)
    (ranking,) = (f"{engine.settings.key_prefix}:{key}" for key in keys(engine) if key.endswith("metric-ranking:mastery:c-1"))
    sums = f"{engine.settings.key_prefix}:{{t}}:metric-sums:c-1"
    if stored is None:
        engine.redis.zrem(ranking, "s-1")
    else:
        engine.redis.zadd(ranking, {"s-1": stored})
    there = stored or 0
    engine.redis.hincrby(sums, "mastery", there - 150_000)
    engine.redis.hincrby(sums, "mastery^2", there * there - 150_000 * 150_000)
    merge(engine, observation(2, TODAY, QUIZ, 1, 1))
    assert_equal_to_brute_force(engine, NOW)


def test_a_moved_student_leaves_the_old_rankings_at_once(engine: Engine) -> None:
    """With the last student goes everything that was stored of the cohort."""
    merge(engine, observation(1, TODAY, QUIZ, 1, 2))
    merge(engine, observation(2, TODAY, ACTIVITY, cohort="c-2"))
    left, joined = engine.mastery.rankings.summaries("t", COHORTS)
    assert left == Ranking(0, 0, 0)
    assert (joined.students, joined.total) == (1, 157_143)
    assert not {key for key in keys(engine) if key.endswith(":c-1")}


def test_a_damaged_record_of_consent_allows_nothing(engine: Engine) -> None:
    """As elsewhere: ``ConsentStore.allowing``."""
    merge(engine, observation(1, TODAY, QUIZ, 1, 2))
    engine.redis.set(f"{engine.settings.key_prefix}:{{t}}:consent:s-2", b"[damaged")
    merge(engine, observation(1, TODAY, QUIZ, 1, 2), student="s-2")
    assert engine.mastery.rankings.values("t", "c-1", Metric.MASTERY) == [150_000]


class TestOlderVersion:
    """What processes of a version without rankings by metric leave."""

    @pytest.fixture
    def prefix(self, engine: Engine) -> str:
        """Of the tenant's keys. There are three students, none of whom is counted."""
        prefix = f"{engine.settings.key_prefix}:{{t}}:"
        for student in STUDENTS[:3]:
            merge(engine, observation(1, TODAY, QUIZ, 1, 2), student=student)
            engine.redis.hset(f"{prefix}student:{student}", "score", OLD_SCORE)
            engine.redis.hdel(f"{prefix}student:{student}", "counted")
        engine.redis.unlink(f"{prefix}counted", *engine.redis.keys(f"{prefix}metric-*"))
        return prefix

    def test_some_students_do_not_pass_for_all(self, engine: Engine, prefix: str) -> None:
        """Nothing is read until a refresh has counted all, on a later day than the one that has found them."""
        merge(engine, observation(2, TODAY, ACTIVITY), student="s-1")
        rankings = engine.mastery.rankings
        for now in (NOW, NOW, NOW + timedelta(days=1)):
            assert rankings.values("t", "c-1", Metric.QUIZ) == []
            assert rankings.read("t", "c-1", [Metric.QUIZ], "s-1", {Metric.QUIZ: 7}).by_metric == {
                Metric.QUIZ: Ranking(0, 0, 0, value=7)
            }
            assert rankings.summaries("t", ["c-1"]) == [Ranking(0, 0, 0)]
            assert rankings.counts("t", ["c-1"], Metric.QUIZ, [1_000_001]) == [[0]]
            list(refresh_scores(stores=engine.mastery, consents=engine.consents, now=now, batch=2))
        assert rankings.values("t", "c-1", Metric.QUIZ) == [500_000] * 3
        assert engine.redis.hgetall(f"{prefix}counted") == {b"counted": b"1"}

    def test_a_withdrawal_and_a_score_that_it_stores(self, engine: Engine) -> None:
        """The next day's refresh puts both right."""
        prefix = f"{engine.settings.key_prefix}:{{t}}:"
        for student in STUDENTS[:3]:
            merge(engine, observation(1, TODAY, QUIZ, 1, 2), student=student)
        merge(engine, observation(2, TODAY, QUIZ, 2, 2), student="s-1")
        engine.redis.hset(f"{prefix}student:s-1", "score", OLD_SCORE)
        engine.redis.zadd(f"{prefix}metric-ranking:quiz:c-1", {"s-1": 500_000})
        engine.redis.hset(f"{prefix}metric-sums:c-1", mapping={"quiz": 1_500_000, "quiz^2": 750_000_000_000})
        engine.redis.set(f"{prefix}consent:s-2", b'[["cohort_statistics",false,1,"student","x"]]')
        list(refresh_scores(stores=engine.mastery, consents=engine.consents, now=NOW + timedelta(days=1), batch=2))
        assert engine.mastery.rankings.values("t", "c-1", Metric.QUIZ) == [500_000, 750_000]
        (read,) = engine.mastery.rankings.read("t", "c-1", [Metric.QUIZ]).by_metric.values()
        assert (read.total, read.squares) == (1_250_000, 812_500_000_000)


class TestRequiredConsent:
    """Statistics under the other rule: students have to give consent first."""

    @pytest.fixture
    def strict(self, engine: Engine) -> Iterator[Engine]:
        """The same state, under the other rule."""
        values = {
            "MASTERY_REDIS_URL": engine.settings.redis_url,
            "MASTERY_KEY_PREFIX": engine.settings.key_prefix,
            "MASTERY_CONSENT_REQUIRED": "cohort_statistics",
        }
        made = bootstrap(load_settings(values), clock=lambda: NOW)
        yield made
        made.redis.close()

    def test_only_those_who_gave_it_are_counted(self, engine: Engine, strict: Engine) -> None:
        """After a change of the rule nobody is shown who may not be; the next refresh counts those who may."""
        for student in STUDENTS[:3]:
            merge(engine, observation(1, TODAY, QUIZ, 1, 2), student=student)
        by, given = Author("student", "x"), {Purpose.COHORT_STATISTICS: True}
        change_consent("t", "s-1", given, by, consents=engine.consents, now=NOW)
        assert strict.mastery.rankings.values("t", "c-1", Metric.MASTERY) == []
        tomorrow = NOW + timedelta(days=1)
        for now in (NOW, NOW, tomorrow):  # of the day of the change, some scores are under the other rule
            assert strict.mastery.rankings.values("t", "c-1", Metric.MASTERY) == []
            list(refresh_scores(stores=strict.mastery, consents=strict.consents, now=now, batch=2))
        assert strict.mastery.rankings.values("t", "c-1", Metric.MASTERY) == [150_000]
        assert engine.mastery.rankings.values("t", "c-1", Metric.MASTERY) == []
        change_consent("t", "s-2", given, by, consents=strict.consents, now=tomorrow)
        assert strict.mastery.rankings.values("t", "c-1", Metric.MASTERY) == [150_000, 150_000]


def test_numbers_below_edges(engine: Engine) -> None:
    """An edge does not count the values that equal it; a cohort without students has none."""
    for number, student in enumerate(STUDENTS[:5]):
        merge(engine, observation(1, TODAY, QUIZ, number, 4), student=student)
    assert engine.mastery.rankings.counts("t", COHORTS, Metric.QUIZ, [0, 250_000, 1_000_001]) == [[0, 1, 5], [0, 0, 0]]


def test_the_day_of_the_scores(engine: Engine) -> None:
    """That of the oldest one, so tomorrow's only after everybody was refreshed."""
    rankings = engine.mastery.rankings
    assert rankings.day("t") is None
    merge(engine, observation(1, TODAY, QUIZ, 1, 2))
    merge(engine, observation(1, TODAY, QUIZ, 1, 2), student="s-2", today=TODAY + 1)
    assert rankings.day("t") == rankings.read("t", "c-1", []).day == TODAY
    list(refresh_scores(stores=engine.mastery, consents=engine.consents, now=NOW + timedelta(days=1), batch=2))
    assert rankings.day("t") == TODAY + 1


def test_nothing_of_another_tenant(engine: Engine) -> None:
    """A cohort of the same name is another one."""
    merge(engine, observation(1, TODAY, QUIZ, 1, 2))
    assert engine.mastery.rankings.read("t-2", "c-1", list(Metric), "s-1").by_metric == dict.fromkeys(Metric, Ranking(0, 0, 0))


def test_the_metrics_are_those_of_the_script() -> None:
    """In the same order: a packed score has their values."""
    (line,) = [line for line in RANKINGS.read_text().split("\n") if line.startswith("local METRICS")]
    assert re.findall("'([a-z]+)'", line) == list(Metric) == [Metric.MASTERY, *COMPONENT_METRICS]
