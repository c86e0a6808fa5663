"""The mastery formula: levels, weights and rounding."""

from pathlib import Path

import pytest

from app.errors import InvalidInput
from app.mastery.formula import (
    FORMULA,
    Components,
    Contribution,
    Level,
    Weights,
    breakdown,
    check_weights,
    classify,
    coverage,
    mastery_score,
    weakest_component,
)


def test_the_weighted_sum_of_all_components() -> None:
    """0.4·0.5 + 0.3·0.8 + 0.2·0.7 + 0.1·1 = 0.68."""
    assert mastery_score(Components(0.5, 0.8, 0.7, 1.0)) == 0.68


def test_no_evidence_counts_zero_and_is_not_covered() -> None:
    """A component without evidence adds nothing to the score and its weight is missing from the coverage."""
    components = Components(completion=1.0, quality=0.66, consistency=0.0)
    assert mastery_score(components) == 0.532
    assert coverage(components) == 0.7


def test_nothing_known_is_zero() -> None:
    """Without any evidence mastery and coverage are 0."""
    assert mastery_score(Components()) == 0.0
    assert coverage(Components()) == 0.0


def test_the_score_is_rounded_to_six_decimals() -> None:
    """1/3 of the completion weight is 0.133333."""
    assert mastery_score(Components(completion=1 / 3)) == 0.133333


@pytest.mark.parametrize(
    ("score", "level"),
    [
        (0.0, Level.BEGINNER),
        (0.399999, Level.BEGINNER),
        (0.4, Level.DEVELOPING),
        (0.599999, Level.DEVELOPING),
        (0.6, Level.COMPETENT),
        (0.749999, Level.COMPETENT),
        (0.75, Level.PROFICIENT),
        (0.899999, Level.PROFICIENT),
        (0.9, Level.EXPERT),
        (1.0, Level.EXPERT),
    ],
)
def test_a_level_begins_at_its_floor(score: float, level: Level) -> None:
    """Each floor belongs to the level above it."""
    assert classify(score) is level


def test_the_breakdown_names_score_weight_and_contribution() -> None:
    """The contributions are the summands of the formula."""
    assert breakdown(Components(0.5, None, 1.0, 0.25)) == {
        "completion": Contribution(0.5, 0.4, 0.2),
        "quiz": Contribution(None, 0.3, 0.0),
        "quality": Contribution(1.0, 0.2, 0.2),
        "consistency": Contribution(0.25, 0.1, 0.025),
    }


@pytest.mark.parametrize(
    "weights", [Weights(), Weights(0.25, 0.25, 0.25, 0.25), Weights(1, 0, 0, 0), Weights(0.4, 0.3, 0.2, 0.101)]
)
def test_weights_that_sum_to_one_within_a_thousandth_are_taken(weights: Weights) -> None:
    """Rounded weights are accepted."""
    assert check_weights(weights) == weights


@pytest.mark.parametrize(
    ("weights", "field"),
    [
        (Weights(0.4, 0.3, 0.2, 0.2), "weights"),
        (Weights(0, 0, 0, 0), "weights"),
        (Weights(1.2, -0.2, 0, 0), "weights.completion"),
        (Weights(0.4, float("nan"), 0.2, 0.1), "weights.quiz"),
        (Weights(0.4, 0.3, float("inf"), 0.1), "weights.quality"),
    ],
)
def test_other_weights_are_refused_by_name(weights: Weights, field: str) -> None:
    """The error names what must be changed."""
    with pytest.raises(InvalidInput) as refused:
        check_weights(weights)
    assert refused.value.field == field


def test_weights_a_little_over_one_do_not_lift_mastery_above_one() -> None:
    """A perfect student under weights that sum to 1.001 still has mastery 1."""
    components, weights = Components(1, 1, 1, 1), Weights(0.4, 0.3, 0.2, 0.101)
    assert mastery_score(components, weights) == 1.0
    assert coverage(components, weights) == 1.0


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_the_pages_tell_the_formula_that_is_computed(page: str) -> None:
    text = (Path(__file__).parents[3] / page).read_text(encoding="utf-8")
    assert FORMULA in text.replace(" · ", "·")


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        (Components(0.9, 0.2, 0.5, 0.8), "quiz"),
        (Components(0.9, 0.0, None, 0.8), "quality"),
    ],
)
def test_the_weakest_component_is_one_without_evidence_or_the_lowest(components: Components, expected: str) -> None:
    """No evidence is weaker than a score of 0."""
    assert weakest_component(components._asdict()) == expected
