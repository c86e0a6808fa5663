"""The mastery formula; defined only here.

    mastery = 0.4·completion + 0.3·quiz + 0.2·quality + 0.1·consistency

Every component is a fraction from 0 to 1, or None without evidence, which counts as 0. The result is rounded to six decimals,
then classified. Coverage is the sum of the weights of components with evidence. Source: design section 3; the tests' oracle
recomputes it independently.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from app.errors import InvalidInput

DECIMALS = 6
WEIGHT_SUM_TOLERANCE = 0.001


class Components(NamedTuple):
    """The four components, each 0..1 or None for no evidence."""

    completion: float | None = None
    quiz: float | None = None
    quality: float | None = None
    consistency: float | None = None


class Weights(NamedTuple):
    """The weight of each component; they sum to 1."""

    completion: float = 0.4
    quiz: float = 0.3
    quality: float = 0.2
    consistency: float = 0.1


DEFAULT_WEIGHTS = Weights()
FORMULA = " + ".join(f"{weight}·{name}" for name, weight in DEFAULT_WEIGHTS._asdict().items())  # for documentation


class Level(StrEnum):
    """The five levels, worst first."""

    BEGINNER = "beginner"
    DEVELOPING = "developing"
    COMPETENT = "competent"
    PROFICIENT = "proficient"
    EXPERT = "expert"


# A score belongs to the highest level whose floor it reaches.
FLOORS: Mapping[Level, float] = {
    Level.BEGINNER: 0.0,
    Level.DEVELOPING: 0.4,
    Level.COMPETENT: 0.6,
    Level.PROFICIENT: 0.75,
    Level.EXPERT: 0.9,
}
_HIGHEST_FIRST = tuple(FLOORS.items())[::-1]


class Contribution(Struct, frozen=True):
    """One component's part of a score: ``contribution`` = ``weight`` · ``score``, or 0 without evidence."""

    score: float | None
    weight: float
    contribution: float


def mastery_score(components: Components, weights: Weights = DEFAULT_WEIGHTS) -> float:
    """Mastery, 0..1, rounded to six decimals; capped at 1, since the weights may sum to slightly more."""
    completion, quiz, quality, consistency = components
    score = (
        weights[0] * (completion or 0.0)
        + weights[1] * (quiz or 0.0)
        + weights[2] * (quality or 0.0)
        + weights[3] * (consistency or 0.0)
    )
    return min(round(score, DECIMALS), 1.0)


def classify(score: float) -> Level:
    """The level of a (rounded) score."""
    return next(level for level, floor in _HIGHEST_FIRST if score >= floor)


def coverage(components: Components, weights: Weights = DEFAULT_WEIGHTS) -> float:
    """The sum of the weights of components with evidence, 0..1."""
    known = sum(weight for weight, score in zip(weights, components, strict=True) if score is not None)
    return min(round(float(known), DECIMALS), 1.0)


def rounded(components: Components) -> dict[str, float | None]:
    """The components by name as they are told: rounded to six decimals, None without evidence."""
    return {name: None if score is None else round(score, DECIMALS) for name, score in components._asdict().items()}


def breakdown(components: Components, weights: Weights = DEFAULT_WEIGHTS) -> dict[str, Contribution]:
    """The contribution of each component by name, rounded to six decimals."""
    return {
        name: Contribution(None if score is None else round(score, DECIMALS), weight, round(weight * (score or 0.0), DECIMALS))
        for name, score, weight in zip(Components._fields, components, weights, strict=True)
    }


def weakest_component(components: Mapping[str, float | None]) -> str:
    """The name of the component to work on first: one without evidence, else the lowest."""
    return min(components, key=lambda name: -1.0 if (score := components[name]) is None else score)


def check_weights(weights: Weights) -> Weights:
    """Return the weights if valid. Raises InvalidInput if one is not within 0..1, or the sum is not 1."""
    for name, weight in weights._asdict().items():
        if not (math.isfinite(weight) and 0 <= weight <= 1):
            raise InvalidInput(f"weights.{name}", "must be a number from 0 to 1")
    if round(abs(sum(weights) - 1), DECIMALS) > WEIGHT_SUM_TOLERANCE:  # 1.001 - 1 is a little more than 0.001
        raise InvalidInput("weights", f"must sum to 1 ± {WEIGHT_SUM_TOLERANCE}")
    return weights
