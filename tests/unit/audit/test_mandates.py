"""What a worker believes of who asked: only what has a proof, and only for the order that it was given for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.chain import derive_keys
from app.audit.entry import Actor
from app.audit.mandates import Mandate, Mandates

ORDER = ["riverside", "mastery.calculate", "s-1", [0.4, 0.3, 0.2, 0.1]]
TEACHER = Actor("teacher", "t-kim")


@pytest.fixture
def mandates() -> Mandates:
    return Mandates(derive_keys("a key of the trail").mandates)


def test_it_survives_a_journey_as_json(mandates: Mandates) -> None:
    """As a task's arguments do."""
    given_ = mandates.give(ORDER, TEACHER, "c-1")
    order, told = json.loads(json.dumps([ORDER, given_]))
    assert mandates.proven(order, told) == given_
    assert (given_.actor, given_.correlation_id) == (TEACHER, "c-1")


@pytest.mark.parametrize("place", range(len(ORDER)))
def test_it_is_good_for_no_other_order(mandates: Mandates, place: int) -> None:
    """Another tenant, action, student or weights."""
    other = [*ORDER[:place], "other", *ORDER[place + 1 :]]
    assert mandates.proven(other, mandates.give(ORDER, TEACHER, "c-1")) is None


@pytest.mark.parametrize("changed", [{"role": "admin"}, {"who": "t-lee"}, {"correlation_id": "c-2"}, {"proof": "0" * 64}])
def test_it_is_good_for_nobody_else(mandates: Mandates, changed: dict[str, str]) -> None:
    assert mandates.proven(ORDER, mandates.give(ORDER, TEACHER, "c-1")._replace(**changed)) is None


def test_another_key_proves_nothing(mandates: Mandates) -> None:
    other = Mandates(derive_keys("another key").mandates)
    assert mandates.proven(ORDER, other.give(ORDER, TEACHER, "c-1")) is None


def test_the_former_key_proves_as_well(mandates: Mandates) -> None:
    """A task may wait in its queue while processes are restarted with another key; given is by the current one only."""
    key = derive_keys("a key of the trail").mandates
    both = Mandates(b"new", key)
    asked = mandates.give(ORDER, TEACHER, "c-1")
    assert both.proven(ORDER, asked) == asked
    assert mandates.proven(ORDER, both.give(ORDER, TEACHER, "c-1")) is None


def test_words_do_not_run_into_each_other(mandates: Mandates) -> None:
    """What moves a letter from one part to the next is another mandate."""
    role, who, correlation_id, proof = mandates.give(ORDER, Actor("admin", "x"), "c")
    assert mandates.proven(ORDER, Mandate(role + who, "", correlation_id, proof)) is None


@given(st.recursive(st.none() | st.integers() | st.text() | st.floats(), st.lists, max_leaves=8).map(lambda value: [value]))
def test_what_is_none(forged: list[object]) -> None:
    """Whatever stands in a task is no mandate, and no error."""
    assert Mandates(b"key").proven(ORDER, forged) is None
    assert Mandates(b"key").proven(ORDER, ["admin", "x", "c", *map(str, forged)]) is None
