"""A difference of mastery is taken apart without a rest, whatever the facts and the days."""

from collections.abc import Mapping

from hypothesis import assume, given
from hypothesis import strategies as st

from app.analytics.changes import Cause, Changes, explain, share_out
from app.clock import Day
from app.mastery.components import daily_components
from app.mastery.facts import DayFacts
from app.mastery.formula import DEFAULT_WEIGHTS, Components, mastery_score
from tests.properties.strategies import day_facts

TODAY = 20_000
FIRST = TODAY - 89

days = st.one_of(st.integers(TODAY - 30, TODAY), st.integers(FIRST, TODAY))
facts = st.dictionaries(days, day_facts(), min_size=1, max_size=40)
amounts = st.lists(st.one_of(st.floats(-0.4, 0.4), st.integers(-20, 20).map(lambda each: each / 2e6)), min_size=1, max_size=6)


def components_on(of: Mapping[Day, DayFacts], day: Day) -> Components:
    """What a query for this day computes."""
    seen = {each: facts for each, facts in of.items() if each <= day}
    return dict(daily_components(seen, day)).get(day, Components())


def millionths(value: float) -> int:
    """Of a value that has six decimals."""
    assert value == round(value, 6)
    return round(value * 1_000_000)


def unrounded(of: Mapping[Day, DayFacts], found: Changes, since: Day) -> dict[tuple[str, Cause], float]:
    """What each part is, computed otherwise."""
    then, now = components_on(of, since), components_on(of, TODAY)
    exact = {
        (name, Cause.NEW_EVENTS): getattr(DEFAULT_WEIGHTS, name) * ((getattr(now, name) or 0) - (getattr(then, name) or 0))
        for name in ("completion", "quiz", "quality")
    }
    earlier, later = range(since - 13, since + 1), range(TODAY - 13, TODAY + 1)
    left, came = [sorted(set(one) - set(other)) for one, other in ((earlier, later), (later, earlier))]
    active = {day for day, each in of.items() if each.active}
    pairs = [(old in active, new in active) for old, new in zip(left, came, strict=True)]
    exact["consistency", Cause.NEW_EVENTS] = sum(new for _, new in pairs) / 140
    exact["consistency", Cause.LEFT_WINDOW] = -pairs.count((True, True)) / 140
    exact["consistency", Cause.INACTIVITY] = -pairs.count((True, False)) / 140
    assert found.new_evidence.active_days_left == sum(old for old, _ in pairs)
    return exact


@given(facts, st.integers(FIRST, TODAY))
def test_the_parts_add_up(of: Mapping[Day, DayFacts], since: Day) -> None:
    """Exactly: those of a component to its change, all of them to the difference of the two scores of queries."""
    found = explain("s-1", of, since, TODAY)
    assert found.score_then == mastery_score(components_on(of, since))
    assert found.score_now == mastery_score(components_on(of, TODAY))
    for change in found.components.values():
        assert sum(millionths(part.amount) for part in change.parts) == millionths(change.change)
    total = sum(millionths(change.change) for change in found.components.values())
    assert total == millionths(found.difference) == millionths(found.score_now) - millionths(found.score_then)


@given(facts, st.integers(FIRST, TODAY))
def test_each_part_is_what_it_says(of: Mapping[Day, DayFacts], since: Day) -> None:
    """Within two millionths. No part is missing that is not 0."""
    found = explain("s-1", of, since, TODAY)
    exact = unrounded(of, found, since)
    for name, change in found.components.items():
        for part in change.parts:
            assert abs(part.amount - exact.pop((name, part.cause))) < 2e-6
    assert all(abs(amount) < 1e-12 for amount in exact.values())


@given(amounts, st.floats(-1, 1))
def test_shares_are_close_to_their_amounts(values: list[float], shift: float) -> None:
    """Less than two millionths from them, and they add up, for every total that is at most one millionth off."""
    total = round(sum(values) * 1e6 + shift)
    assume(any(values) and abs(total - sum(values) * 1e6) <= 1)
    shares = share_out(total, values)
    assert sum(shares) == total
    assert all(abs(share - value * 1e6) < 2 for share, value in zip(shares, values, strict=True))
