"""A cohort of five students, and a list of those at risk."""

from app.bootstrap import Engine
from app.clock import microseconds
from app.consent.change_consent import change_consent
from app.consent.consent import Author
from app.mastery.evidence import QUIZ
from app.predictions.risk_store import Estimate, RiskList
from app.purposes import Purpose
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, merge, observation

ABOUT = RiskList(TODAY, "base", "1", microseconds(NOW))
NAMES = [f"s-{number}" for number in range(5)]
LIST, BESIDE = "{t}:at-risk:c-1", "{t}:at-risk-list:c-1"


def with_list(engine: Engine) -> Engine:
    """With five students of c-1 and their list: s-4 has the highest probability, 0.9."""
    for number, student in enumerate(NAMES):
        merge(engine, observation(number, TODAY - 3, QUIZ, 8, 10), student=student)
    put(engine)
    return engine


def put(engine: Engine) -> int:
    estimates = {student: Estimate(0.5 + 0.1 * number) for number, student in enumerate(NAMES)}
    return engine.risk_lists.put("t", "c-1", ABOUT, estimates)


def listed(engine: Engine, cohort: str = "c-1") -> list[str]:
    return [student for student, _ in engine.risk_lists.part("t", cohort, 100, 0.0).students]


def decide(engine: Engine, student: str, *, given: bool) -> None:
    by = Author("student", "x")
    change_consent("t", student, {Purpose.PREDICTIONS: given}, by, consents=engine.consents, now=NOW)


def forget(engine: Engine) -> None:
    engine.redis.delete(*(f"{engine.settings.key_prefix}:{key}" for key in (LIST, BESIDE)))
