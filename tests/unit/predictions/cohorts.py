"""Facts of random students, as the arrays that ``history_of`` takes, and origins that no student ever had."""

import numpy as np

from app.mastery.facts import DayFacts
from app.predictions.daily_history import DailyHistory, Floats, Ints, history_of
from app.predictions.origins import Origins

LAST = 20_000


def random_facts(students: int, days: int, seed: int = 0) -> dict[str, Ints]:
    """Facts of each field, (students, days): on most days nothing but activity; some students have no evidence of a kind."""
    rng = np.random.default_rng(seed)
    shape = students, days
    diligence = rng.uniform(0.05, 0.95, (students, 1))

    def happens(share: float) -> Ints:
        takes_part = rng.random((students, 1)) < 0.9
        return ((rng.random(shape) < share * diligence) & takes_part).astype(np.int64)

    asked = happens(0.15) * rng.integers(1, 20, shape)
    submissions = happens(0.1) * rng.integers(1, 3, shape)
    total = happens(0.2) * rng.integers(1, 30, shape)
    facts = {
        "correct": np.floor(asked * rng.random(shape)).astype(np.int64),
        "asked": asked,
        "quality_millionths": np.floor(submissions * 1_000_000 * diligence * rng.random(shape)).astype(np.int64),
        "submissions": submissions,
        "active": happens(0.8),
        "completed": np.floor(total * diligence).astype(np.int64),
        "total": total,
    }
    assert list(facts) == list(DayFacts.__struct_fields__)
    return facts


def random_history(students: int, days: int, seed: int = 0) -> DailyHistory:
    """The history of random facts, which ends on ``LAST``."""
    return history_of(random_facts(students, days, seed), LAST)


def made_up(outcome: Floats, features: Floats | None = None, group: int | Ints = 0, student: int | Ints = 0) -> Origins:
    """Origins with these outcomes, all with a score of 0.5 that is carried forward; without features unless given."""
    rows = len(outcome)
    return Origins(
        features=np.zeros((rows, 1)) if features is None else features,
        score=np.full(rows, 0.5),
        carried=np.full(rows, 0.5),
        slope=np.zeros(rows),
        group=np.broadcast_to(group, rows).astype(np.int64),
        outcome=outcome,
        student=np.broadcast_to(student, rows).astype(np.int64),
        column=np.zeros(rows, np.int64),
    )
