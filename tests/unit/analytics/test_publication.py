"""What may be published after what, so that no difference is one to four students."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.analytics.publication import Values, Version, differences, version_to_publish
from app.mastery.rankings import COMPONENT_METRICS, Metric

few_values = st.lists(st.integers(0, 6), max_size=20)  # so that many are equal


def values(*of: int) -> Values:
    return np.array(sorted(of), dtype=np.uint32)


def version(mastery: Values, **components: Values) -> Version:
    return {metric: components.get(metric.value, mastery) for metric in Metric}


TEN = values(*range(10))


@given(few_values, few_values)
def test_differences_are_those_of_multisets(before: list[int], after: list[int]) -> None:
    gone, come = Counter(before) - Counter(after), Counter(after) - Counter(before)
    assert differences(values(*before), values(*after)) == (gone.total(), come.total())


@pytest.mark.parametrize(
    ("after", "is_new"),
    [
        (range(10), True),  # nothing has changed: only the day moves on
        (range(9), False),  # one has left
        (range(11), False),  # one has come
        (range(4, 14), False),  # four have changed
        (range(5, 15), True),  # five
        (range(15), True),  # five have come
        (range(5), True),  # five have left
        (range(1, 15), False),  # five have come and one has left: what is gone is the value of one student
        (range(5, 11), False),  # five have left and one has come
        (range(5, 9), False),  # only four are left
    ],
)
def test_a_version_follows_only_if_it_hides_who_has_changed(after: range, is_new: bool) -> None:
    present = version(values(*after))
    assert version_to_publish(version(TEN), present) == (present if is_new else {})


@pytest.mark.parametrize(("students", "is_new"), [(4, False), (5, True)])
def test_the_first_version_needs_five_students(students: int, is_new: bool) -> None:
    present = version(values(*range(students)))
    assert version_to_publish({}, present) == (present if is_new else {})


@pytest.mark.parametrize("component", COMPONENT_METRICS)
@pytest.mark.parametrize(
    ("count", "are_shown"), [(0, True), (1, False), (4, False), (5, True)], ids=["nobody", "one", "four", "five"]
)
def test_a_component_of_a_few_hides_all_of_them(component: Metric, count: int, are_shown: bool) -> None:
    """Mastery is the weighted sum: the sum of one that is left out could be computed from the others."""
    present = version(TEN, **{component: values(*range(count))})
    assert version_to_publish({}, present).keys() == (set(Metric) if are_shown else {Metric.MASTERY})


@pytest.mark.parametrize("component", COMPONENT_METRICS)
def test_a_component_in_which_few_have_changed_hides_all_of_them(component: Metric) -> None:
    """Also if mastery is the same; and a component that was published last is compared, even if the version is an older one."""
    changed = version(TEN, **{component: values(*range(9), 20)})
    assert version_to_publish(version(TEN), changed).keys() == {Metric.MASTERY}
    more = version(TEN, **{component: values(*range(5), *range(20, 25))})
    assert version_to_publish(version(TEN), more).keys() == set(Metric)
