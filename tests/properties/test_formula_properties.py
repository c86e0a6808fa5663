"""Invariant 3: scores stay within 0..1, and mastery never falls when a component rises."""

from hypothesis import given
from hypothesis import strategies as st

from app.mastery.formula import FLOORS, Components, breakdown, classify, coverage, mastery_score
from tests.properties.strategies import FRACTIONS, components


@given(components)
def test_mastery_and_coverage_are_fractions(parts: Components) -> None:
    """This holds for any components."""
    assert 0 <= mastery_score(parts) <= 1
    assert 0 <= coverage(parts) <= 1


@given(components, st.sampled_from(Components._fields), FRACTIONS)
def test_mastery_is_monotone_in_every_component(parts: Components, name: str, value: float) -> None:
    """A better component never lowers mastery or the level."""
    changed = parts._replace(**{name: value})
    before, after = getattr(parts, name) or 0.0, value
    worse, better = (parts, changed) if before <= after else (changed, parts)
    assert mastery_score(worse) <= mastery_score(better)
    assert FLOORS[classify(mastery_score(worse))] <= FLOORS[classify(mastery_score(better))]


@given(components)
def test_the_contributions_sum_to_the_score(parts: Components) -> None:
    """The sum is exact except for rounding."""
    assert abs(sum(each.contribution for each in breakdown(parts).values()) - mastery_score(parts)) < 4e-6
