"""Recommendations in words. Pure."""

from collections.abc import Collection
from datetime import date
from fractions import Fraction

from msgspec import Struct

from app.clock import day_date
from app.mastery.components import window_components
from app.mastery.formula import DECIMALS, Components, Level, classify, mastery_score
from app.recommendations.assumptions import assumptions
from app.recommendations.efforts import EFFORTS, LearningAction
from app.recommendations.rules import GOAL, MOST_RECOMMENDATIONS, Evidence, Priority, Recommendation, recommend, weak
from app.recommendations.wording import Texts, text_key


class WordedRecommendation(Struct, frozen=True, kw_only=True):
    """A recommendation: so many exercises, questions, submissions or days raise a component from ``score`` to ``reached``."""

    component: str
    action: LearningAction
    area: str
    priority: Priority
    impact: float
    score: float | None
    reached: float
    amount: int
    estimated_minutes: int
    gain: float
    what: str
    why: str


class Advice(Struct, frozen=True, kw_only=True):
    """Recommendations for a student, whose gains add up to ``total_gain``, and the mastery that they lead to together."""

    student_id: str
    date: date
    score: float
    level: Level
    recommendations: list[WordedRecommendation]
    total_gain: float
    expected_score: float
    expected_level: Level
    message: str
    assumptions: list[str]


def advise(
    student_id: str,
    evidence: Evidence,
    *,
    texts: Texts,
    limit: int = MOST_RECOMMENDATIONS,
    priority: Priority | None = None,
    components: Collection[str] = Components._fields,
) -> Advice:
    """What to do for the weak components among ``components``, in the words of ``texts``; see ``rules.recommend``."""
    window = evidence.window(evidence.today)
    parts = window_components(window)
    score = mastery_score(parts)
    found = recommend(window, limit=limit, priority=priority, components=components)
    total = round(sum(each.gain for each in found), DECIMALS)
    expected = round(score + total, DECIMALS)
    return Advice(
        student_id=student_id,
        date=day_date(evidence.today),
        score=score,
        level=classify(score),
        recommendations=[_worded(each, texts) for each in found],
        total_gain=total,
        expected_score=expected,
        expected_level=classify(expected),
        message=_message(found, parts, texts),
        assumptions=list(assumptions([each.component for each in found], parts, texts)),
    )


def _worded(found: Recommendation, texts: Texts) -> WordedRecommendation:
    effort, score = EFFORTS[found.component], found.current
    amount, minutes = found.units * effort.amount, found.units * effort.minutes
    what, why = (texts[text_key(found.component, kind, score)] for kind in ("what", "why"))
    return WordedRecommendation(
        component=found.component,
        action=effort.action,
        area=texts[f"{found.component}.area"],
        priority=found.priority,
        impact=found.impact,
        score=None if score is None else round(score, DECIMALS),
        reached=round(found.reached, DECIMALS),
        amount=amount,
        estimated_minutes=minutes,
        gain=found.gain,
        what=what.format(amount=amount, minutes=minutes),
        why=why.format(percent=_percent(score or 0.0), goal=_percent(GOAL)),
    )


def _message(found: list[Recommendation], parts: Components, texts: Texts) -> str:
    if found:
        return texts["adaptive.found"].format(count=len(found))
    key = "adaptive.nothing_matches" if any(map(weak, parts)) else "adaptive.nothing_to_improve"
    return texts[key].format(goal=_percent(GOAL))


def _percent(share: Fraction | float) -> int:
    """Whole percent, rounded down: 69.9 % is not 70. To six decimals first, since 0.29 is a little less in a float."""
    return int(round(100 * share, DECIMALS))
