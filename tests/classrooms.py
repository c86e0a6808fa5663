"""Classrooms whose students' mastery goes up and down in a known way, recorded as real facts, for models to learn from."""

from collections.abc import Callable, Iterator

from app.bootstrap import Engine
from app.clock import Day, day_number
from app.mastery.derive_scores import derive_scores
from app.mastery.evidence import ACTIVITY, COMPLETION, Observation
from app.storage.scripts import slices
from tests.conftest import NOW

TODAY = day_number(NOW)
PERIOD = 14  # days
EXERCISES = 14
# The day from which nothing of what a model has learned holds any more: after its training, before its test.
TURN = TODAY - 28

Course = Callable[[int, Day], int]  # student, day → completed exercises


def seesaw(student: int, day: Day) -> int:
    """Up by an exercise a day, and back to none after two weeks: "stays as it is" is wrong by seven exercises each week."""
    return (day + student) % PERIOD


def standstill(student: int, day: Day) -> int:
    """A seesaw that stands still since the turn: what was learned before is wrong."""
    return seesaw(student, min(day, TURN))


def fortnights(student: int, day: Day) -> int:
    """All exercises for two weeks and none for two: whoever is low is not two weeks later, and the other way round."""
    return EXERCISES if (day // PERIOD + student) % 2 else 0


def last_fortnight(student: int, day: Day) -> int:
    """These weeks alternate until the turn, and what was learned of risk before is wrong since."""
    return fortnights(student, min(day, TURN))


def enrol(engine: Engine, cohort: str, students: int, course: Course, tenant: str = "t", today: Day = TODAY) -> list[str]:
    """Record what these students did on each retained day until yesterday. Returns their ids."""
    first = today - engine.mastery.facts.retention_days + 1
    names = [f"{cohort}-{number}" for number in range(students)]
    for some in slices(enumerate(names), 50):
        observed = {name: list(_observations(cohort, number, course, range(first, today))) for number, name in some}
        merged = engine.mastery.facts.merge(tenant, observed, today)
        derive_scores(tenant, merged, stores=engine.mastery, now=NOW)
    return names


def _observations(cohort: str, student: int, course: Course, days: range) -> Iterator[Observation]:
    for day in days:
        at = day * 86_400_000_000
        for kind, done, of in ((ACTIVITY, 0, 0), (COMPLETION, course(student, day), EXERCISES)):
            number = (student * len(days) + day) * 2 + (kind == COMPLETION)
            yield number.to_bytes(8), day, kind, done, of, at, number.to_bytes(16), cohort
