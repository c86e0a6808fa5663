"""Cohorts of which statistics are published, and what is shown of them."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import count
from typing import cast

import numpy as np

from app.analytics.publish_statistics import publish_statistics
from app.bootstrap import Engine
from app.clock import day_number, microseconds
from app.consent.change_consent import change_consent
from app.consent.consent import Author
from app.mastery.derive_scores import derive_scores, refresh_scores
from app.mastery.evidence import COMPLETION
from app.mastery.rankings import Metric
from app.purposes import Purpose
from tests.conftest import NOW
from tests.contracts.conftest import observation
from tests.rankings import ranking_of

SIX = [f"s-{number}" for number in range(6)]
TOMORROW = NOW + timedelta(days=1)
SIX_VALUES = np.arange(6, dtype=np.uint32)
MADE = {Metric.MASTERY: SIX_VALUES}
NO_VALUES: dict[Metric, int | None] = dict.fromkeys(Metric)
numbers = count(1)


def learn(engine: Engine, student: str, exercises: int, now: datetime = NOW, *, cohort: str = "c-1", tenant: str = "t") -> None:
    """The student has done this many of 100 exercises: so many percent of the component completion, 0.4 of that in mastery."""
    today, number = day_number(now), next(numbers)
    stamp = today * 86_400_000_000 + number
    event = observation(number, today, COMPLETION, exercises, 100, cohort, stamp)
    merged = engine.mastery.facts.merge(tenant, {student: [event]}, today)
    derive_scores(tenant, merged, stores=engine.mastery, now=now)


def enrol(engine: Engine, students: Iterable[str] = SIX, *, cohort: str = "c-1", tenant: str = "t") -> None:
    """The n-th student has done n exercises."""
    for number, student in enumerate(students):
        learn(engine, student, number, cohort=cohort, tenant=tenant)


def publish(engine: Engine, now: datetime = NOW, tenant: str = "t") -> list[int]:
    """Refresh all scores, and publish."""
    list(refresh_scores(stores=engine.mastery, consents=engine.consents, now=now, batch=5))
    return list(publish_statistics(tenant, stores=engine.mastery, published=engine.published, today=day_number(now)))


def completions(engine: Engine, cohort: str = "c-1", tenant: str = "t") -> tuple[int, list[int]] | None:
    """The day that is shown, counted from today, and the exercises of each student."""
    found = engine.published.read(tenant, cohort, NO_VALUES)
    if found is None:
        return None
    stored = cast("dict[bytes, bytes]", engine.redis.hgetall(engine.published._key(tenant, cohort)))
    mastery, completion = (
        np.frombuffer(stored[metric.encode()], "<u4").tolist() for metric in (Metric.MASTERY, Metric.COMPLETION)
    )
    assert mastery == [round(each * 0.4) for each in completion]
    for metric, values in ((Metric.MASTERY, mastery), (Metric.COMPLETION, completion)):
        of = ranking_of(np.array(values, np.uint32))
        assert found.rankings[metric] == of
    return found.day - day_number(NOW), [round(value / 10_000) for value in completion]


def decide(engine: Engine, student: str, *, given: bool) -> None:
    by, wanted = Author("student", "x"), {Purpose.COHORT_STATISTICS: given}
    change_consent("t", student, wanted, by, consents=engine.consents, now=NOW)


def erase(engine: Engine, student: str) -> None:
    engine.mastery.facts.erase("t", {student: microseconds(NOW)}, up_to_request=True)
