"""A page of the list of students at risk: the order is that of the list, all that is said of a student is of now."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from app.clock import Day, day_number
from app.errors import InvalidInput, NotFound
from app.mastery.components import window_on
from app.mastery.fact_store import StudentRecord
from app.mastery.formula import DECIMALS
from app.predictions.at_risk import NOBODY, PROBABILITY_DECIMALS, RiskListing, is_valid
from app.predictions.intervention import Reason, Signs, reasons_of
from app.predictions.make_forecast import signs_of
from app.predictions.origins import origins_today
from app.predictions.risk_estimator import RiskEstimator
from app.predictions.risk_store import RiskList
from app.purposes import Purpose

COMPUTED_ANEW = "the list was computed anew; begin again without a cursor"


class Position(NamedTuple):
    """Where a page begins: in which list, and how many students are left, counted from the end. Names no student.

    As text ``1792497600000000-40``.
    """

    computed_at: int
    left: int

    def __str__(self) -> str:
        return f"{self.computed_at}-{self.left}"

    @classmethod
    def of(cls, text: str) -> "Position":
        """The position of a text of this form."""
        computed_at, left = text.split("-")
        return cls(int(computed_at), int(left))


class Selection(NamedTuple):
    """What is asked for: so many students, with at least this probability, from this position on; None: from the highest."""

    limit: int
    at_least: float = 0.0
    position: Position | None = None


class StudentAtRisk(Struct, frozen=True):
    """A student of the list.

    Attributes:
        student_id: who.
        probability: of being at risk, 0..1.
        current_score: mastery, 0..1.
        inactive_days: days since the latest activity; since the latest evidence for those without any.
        reasons: what stands out; empty if nothing does.
    """

    student_id: str
    probability: float
    current_score: float
    inactive_days: int
    reasons: list[Reason]


class Page(NamedTuple):
    """A page: of which list, how many students that has, and where the next page begins; None at the end."""

    about: RiskList
    total: int
    students: list[StudentAtRisk]
    following: Position | None


def at_risk_page(tenant: str, cohort: str, wanted: Selection, *, using: RiskListing, now: datetime) -> Page | None:
    """Read a page of the cohort's list of today. Students who have left the cohort, or withdrawn consent, are left out.

    Returns:
        The page, which may have fewer students than wanted; None if the list has to be computed first.

    Raises:
        NotFound: No student of the cohort has evidence.
        InvalidInput: The position is of another list.
    """
    position, today = wanted.position, day_number(now)
    left = position.left if position else None
    part = using.lists.part(tenant, cohort, wanted.limit, wanted.at_least, left)
    if not part.is_known:
        raise NotFound(NOBODY)
    estimator = using.estimators(tenant, today)
    about = part.about if is_valid(part.about, estimator, today) else None
    if position and (about is None or about.computed_at != position.computed_at):
        raise InvalidInput("cursor", COMPUTED_ANEW)
    if about is None:
        return None
    shown = _shown(tenant, cohort, [student for student, _ in part.students], estimator, using, today)
    return Page(about, part.total, shown, Position(about.computed_at, part.left) if part.left else None)


def _shown(
    tenant: str, cohort: str, names: Sequence[str], estimator: RiskEstimator, using: RiskListing, today: Day
) -> list[StudentAtRisk]:
    """Those who may be shown, in their order, as they are now."""
    (facts, *_), consents = using.sources.mastery, using.sources.consents
    allowed = consents.allowing(tenant, names, Purpose.PREDICTIONS)
    present = [
        (student, record)
        for student, record in zip(names, facts.read_many(tenant, names, today, today), strict=True)
        if isinstance(record, StudentRecord) and record.cohort_id == cohort and student in allowed
    ]
    if not present:
        return []
    of = origins_today(
        [record.days for _, record in present], today, facts.retention_days, using.observed(tenant, cohort, today)
    )
    probabilities = estimator.probability(of).round(PROBABILITY_DECIMALS).tolist()
    return [
        _student(student, probability, signs_of(record.days, window_on(record.days, today, facts.retention_days), slope), score)
        for (student, record), probability, score, slope in zip(
            present, probabilities, of.score.tolist(), of.slope.tolist(), strict=True
        )
    ]


def _student(student: str, probability: float, signs: Signs, score: float) -> StudentAtRisk:
    return StudentAtRisk(student, probability, round(score, DECIMALS), signs.inactive_days, list(reasons_of(signs)))
